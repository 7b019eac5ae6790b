"""Command lines of the native cluster's components. Pure: paths in, argument lists out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from .config import API_PORT, NODE, NODE_IP, POD_NET, SERVICE_NET

# In starting order; stopping goes the other way. `forward` is the host's door, see forward.py.
ORDER = (
    "containerd",
    "etcd",
    "apiserver",
    "controller-manager",
    "scheduler",
    "kubelet",
    "proxy",
    "forward",
)


def command_lines(state: Path, binaries: Mapping[str, Path]) -> dict[str, list[str]]:
    """Component name to argument list; `binaries` maps program names to paths."""
    program = {name: str(path) for name, path in binaries.items()}
    return {
        "containerd": [program["containerd"], "-c", f"{state}/containerd.toml"],
        "etcd": [program["etcd"], *_etcd(state)],
        "apiserver": [program["kube-apiserver"], *_apiserver(state / "pki")],
        "controller-manager": [program["kube-controller-manager"], *_controller_manager(state)],
        "scheduler": [
            program["kube-scheduler"],
            *_client(state, "scheduler"),
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
        ],
        "kubelet": [
            program["kubelet"],
            f"--config={state}/kubelet.yaml",
            f"--kubeconfig={state}/kubelet.conf",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_IP}",
            f"--root-dir={state}/kubelet",
            f"--cert-dir={state}/kubelet/pki",
        ],
        "proxy": [program["kube-proxy"], f"--config={state}/proxy.yaml"],
    }


def _etcd(state: Path) -> list[str]:
    # The data directory is a tmpfs in the cluster's mount namespace: fsync then costs nothing,
    # and a killed etcd still comes back with every write it acknowledged.
    return [
        f"--data-dir={state}/etcd/data",
        "--listen-client-urls=http://127.0.0.1:2379",
        "--advertise-client-urls=http://127.0.0.1:2379",
        "--listen-peer-urls=http://127.0.0.1:2380",
        "--auto-compaction-retention=10m",
    ]


def _client(state: Path, name: str) -> list[str]:
    conf = f"{state}/{name}.conf"
    return [
        f"--kubeconfig={conf}",
        f"--authentication-kubeconfig={conf}",
        f"--authorization-kubeconfig={conf}",
    ]


def _apiserver(pki: Path) -> list[str]:
    return [
        "--etcd-servers=http://127.0.0.1:2379",
        f"--advertise-address={NODE_IP}",
        "--bind-address=0.0.0.0",
        f"--secure-port={API_PORT}",
        f"--service-cluster-ip-range={SERVICE_NET}",
        "--allow-privileged=true",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        f"--client-ca-file={pki}/ca.crt",
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki}/sa.pub",
        f"--service-account-signing-key-file={pki}/sa.key",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki}/ca.crt",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={pki}/front-proxy.crt",
        f"--proxy-client-key-file={pki}/front-proxy.key",
        "--enable-aggregator-routing=true",
        # A stopped apiserver must be gone when the fault says so, not after watches drained.
        "--shutdown-delay-duration=0s",
        "--profiling=false",
    ]


def _controller_manager(state: Path) -> list[str]:
    pki = state / "pki"
    return [
        *_client(state, "controller-manager"),
        "--use-service-account-credentials",
        f"--root-ca-file={pki}/ca.crt",
        f"--service-account-private-key-file={pki}/sa.key",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        "--allocate-node-cidrs=true",
        f"--cluster-cidr={POD_NET}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        # The client limits of a 5,000-node cluster's defaults slow a burst of 50 pods down.
        "--kube-api-qps=100",
        "--kube-api-burst=200",
    ]
