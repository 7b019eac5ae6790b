"""The pod of a strategy: the user's template with the guard put in front. Pure."""

import copy
import hashlib
import json
import posixpath
from dataclasses import dataclass, field
from typing import Any

from tidegate.api.meta import ANNOTATION_TEMPLATE_HASH, API_VERSION, LABEL_STRATEGY
from tidegate.api.strategy import StrategySpec
from tidegate.api.wire import GUARD_PORT, RUN_DIR

GUARD = "tidegate-guard"
RUN_VOLUME = "tidegate-run"
TOKEN_VOLUME = "tidegate-token"  # noqa: S105 - a volume's name
TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a folder
GROUP_ID = 65532
RESERVED = "tidegate-"
# What the spec says must hold in the pod: a template may not tell a Paper strategy that it is Live.
RESERVED_ENVIRONMENT = (
    "TIDEGATE_STRATEGY", "TIDEGATE_NAMESPACE", "TIDEGATE_MODE", "TIDEGATE_RUN_DIR",
)  # fmt: skip
Object = dict[str, Any]


@dataclass(frozen=True)
class PodSettings:
    image: str
    pull_policy: str
    operator_namespace: str
    guard_resources: Object = field(default_factory=dict)


def template_hash(spec: StrategySpec) -> str:
    """Changes when a running pod is no longer what its user asks for.

    The guard's image is not part of it: an upgrade of the operator must not restart the desk.
    """
    what = [spec.mode, spec.template]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def build_pod(metadata: Object, spec: StrategySpec, settings: PodSettings) -> Object:
    """The pod of the Strategy with `metadata`.

    Raises ValueError, naming the field, for a template that uses what the guard needs.
    """
    template = copy.deepcopy(spec.template)
    pod: Object = template["spec"]
    _refuse_reserved(pod)
    name, namespace = metadata["name"], metadata["namespace"]
    environment = [
        {"name": "TIDEGATE_STRATEGY", "value": name},
        {"name": "TIDEGATE_NAMESPACE", "value": namespace},
        {"name": "TIDEGATE_MODE", "value": spec.mode},
        {"name": "TIDEGATE_RUN_DIR", "value": RUN_DIR},
    ]
    mount = {"name": RUN_VOLUME, "mountPath": RUN_DIR}
    for container in pod["containers"]:
        container["env"] = [*environment, *(container.get("env") or [])]
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    # First of all init containers: the permit is there before anything of the user's runs.
    pod["initContainers"] = [
        _guard(environment, settings),
        *(pod.get("initContainers") or []),
    ]
    pod["volumes"] = [
        *(pod.get("volumes") or []),
        {"name": RUN_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        _token_volume(),
    ]
    # The API token is the guard's alone, unless the template asks for one.
    pod["automountServiceAccountToken"] = pod.get("automountServiceAccountToken") is True
    security = pod["securityContext"] = pod.get("securityContext") or {}
    if security.get("fsGroup") is None:
        security["fsGroup"] = GROUP_ID
    given = template.get("metadata") or {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                **(given.get("labels") or {}),
                **(metadata.get("labels") or {}),
                LABEL_STRATEGY: name,
            },
            "annotations": {
                **(given.get("annotations") or {}),
                ANNOTATION_TEMPLATE_HASH: template_hash(spec),
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Strategy",
                    "name": name,
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": pod,
    }


def _objects(parent: Object, key: str, where: str) -> list[Object]:
    found = parent.get(key) or []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ValueError(f"{where}.{key}: expected a list of objects, was {str(found)[:80]!r}")
    return found


def _refuse_reserved(pod: Object) -> None:
    where = "spec.template.spec"
    if pod.get("hostNetwork"):
        raise ValueError(
            f"{where}.hostNetwork: expected false, was true: the guards of two strategies would "
            f"want the same port {GUARD_PORT} of the node; remove it"
        )
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(_objects(pod, kind, where)):
            _refuse_container(container, f"{where}.{kind}[{i}]")
    for i, volume in enumerate(_objects(pod, "volumes", where)):
        if str(volume.get("name", "")).startswith(RESERVED):
            raise ValueError(
                f"{where}.volumes[{i}].name: {volume['name']!r} is reserved, as is every name that "
                f"starts with {RESERVED}; rename it"
            )


def _refuse_container(container: Object, where: str) -> None:
    if container.get("name") == GUARD:
        raise ValueError(f"{where}.name: {GUARD!r} is reserved for the guard; rename it")
    for i, mount in enumerate(_objects(container, "volumeMounts", where)):
        path = posixpath.normpath(str(mount.get("mountPath", "")))
        if path == RUN_DIR or path.startswith(f"{RUN_DIR}/"):
            raise ValueError(
                f"{where}.volumeMounts[{i}].mountPath: {RUN_DIR} is reserved for the permit; "
                "mount elsewhere"
            )
    for i, variable in enumerate(_objects(container, "env", where)):
        if variable.get("name") in RESERVED_ENVIRONMENT:
            raise ValueError(
                f"{where}.env[{i}].name: {variable['name']} is set by the operator; remove it"
            )
    for i, port in enumerate(_objects(container, "ports", where)):
        if port.get("containerPort") == GUARD_PORT:
            raise ValueError(
                f"{where}.ports[{i}].containerPort: {GUARD_PORT} is the guard's; use another"
            )


def _guard(environment: list[Object], settings: PodSettings) -> Object:
    return {
        "name": GUARD,
        "image": settings.image,
        "imagePullPolicy": settings.pull_policy,
        "args": ["guard"],
        # A native sidecar: started before the strategy, restarted whenever it dies.
        "restartPolicy": "Always",
        "env": [
            *environment,
            {"name": "TIDEGATE_OPERATOR_NAMESPACE", "value": settings.operator_namespace},
        ],
        "ports": [{"name": "guard", "containerPort": GUARD_PORT}],
        "startupProbe": {
            "httpGet": {"path": "/readyz", "port": GUARD_PORT},
            "periodSeconds": 1,
            "failureThreshold": 60,
        },
        "resources": settings.guard_resources,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": GROUP_ID,
            "runAsGroup": GROUP_ID,
            "readOnlyRootFilesystem": True,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": RUN_VOLUME, "mountPath": RUN_DIR},
            {"name": TOKEN_VOLUME, "mountPath": TOKEN_PATH, "readOnly": True},
        ],
    }


def _token_volume() -> Object:
    token = {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}
    authority = {
        "configMap": {
            "name": "kube-root-ca.crt",
            "items": [{"key": "ca.crt", "path": "ca.crt"}],
        }
    }
    namespace = {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
        }
    }
    return {
        "name": TOKEN_VOLUME,
        "projected": {"defaultMode": 0o440, "sources": [token, authority, namespace]},
    }


def guard_rolebinding(namespace: str) -> Object:
    """Lets the guards of a namespace read its gates and strategies, and nothing else."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": GUARD, "namespace": namespace},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": GUARD,
        },
        "subjects": [
            {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "Group",
                "name": f"system:serviceaccounts:{namespace}",
            }
        ],
    }
