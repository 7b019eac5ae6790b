"""Configuration files of the native cluster's components. Pure: state directory in, text out.

What looks odd is there because the cluster runs inside a container or small VM that may lack
CAP_SYS_RESOURCE, real DNS and writable conntrack sysctls; each such line says which.
"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from .config import DNS_IP, NODE, NODE_POD_NET, PAUSE_IMAGE, POD_NET


def containerd(state: Path) -> str:
    return f"""version = 2
root = "{state}/containerd/root"
state = "{state}/containerd/state"
# The "opt" plugin would make /opt/containerd on the machine, outside the state directory.
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "{state}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering oom_score_adj needs CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state}/cni"
"""


def cni(state: Path) -> str:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": f"{state}/ipam",
            "ranges": [[{"subnet": NODE_POD_NET}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return json.dumps(
        {"cniVersion": "1.0.0", "name": "tidegate", "plugins": [bridge, portmap]}, indent=1
    )


def kubelet(state: Path, *, cgroup_v2: bool) -> str:
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{state}/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{state}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{state}/pki/kubelet.key",
        "containerRuntimeEndpoint": f"unix://{state}/containerd.sock",
        "cgroupDriver": "cgroupfs",
        "failSwapOn": False,
        # Both need CAP_SYS_RESOURCE above what this process may already do.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20000,
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        # No name outside the cluster resolves, so none is inherited from the host.
        "resolvConf": "",
        # Images come from no registry: one that was collected could never be had again.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "maxPods": 200,
        # A strategy's pod must be seen Ready in seconds: the defaults throttle bursts of 50 pods.
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
    }
    if not cgroup_v2:
        settings["failCgroupV1"] = False
    return yaml.safe_dump(settings, sort_keys=False)


def proxy(state: Path) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clusterCIDR": POD_NET,
            "hostnameOverride": NODE,
            "clientConnection": {"kubeconfig": f"{state}/proxy.conf"},
            # The conntrack sysctls are read-only here; zero means "leave them".
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
        sort_keys=False,
    )
