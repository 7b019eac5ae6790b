"""Certificates and kubeconfigs of the native cluster, made by openssl for one run."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from .commands import run
from .config import API_PORT, API_SERVICE_IP, NODE, NODE_IP

_API_NAMES = ",".join(
    [
        *(
            f"DNS:{name}"
            for name in (
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            )
        ),
        # 127.0.0.1 is what the host's side of the forwarder is called by.
        *(f"IP:{address}" for address in ("127.0.0.1", NODE_IP, API_SERVICE_IP)),
    ]
)
# name -> (subject, alternative names)
CERTIFICATES = {
    "apiserver": ("/CN=kube-apiserver", _API_NAMES),
    "admin": ("/O=system:masters/CN=admin", "DNS:admin"),
    "controller-manager": ("/CN=system:kube-controller-manager", "DNS:controller-manager"),
    "scheduler": ("/CN=system:kube-scheduler", "DNS:scheduler"),
    "proxy": ("/CN=system:kube-proxy", "DNS:proxy"),
    "kubelet": (f"/O=system:nodes/CN=system:node:{NODE}", f"DNS:{NODE},IP:{NODE_IP}"),
    "front-proxy": ("/CN=front-proxy", "DNS:front-proxy"),
}
CLIENTS = ("admin", "controller-manager", "scheduler", "proxy", "kubelet")


def make(pki: Path) -> None:
    """A CA, one certificate per component, and the key that signs service account tokens."""
    pki.mkdir(parents=True)
    pki.chmod(0o700)
    ca = ["-keyout", "ca.key", "-out", "ca.crt", "-days", "365", "-subj", "/CN=tidegate-e2e-ca"]
    run(["openssl", "req", "-x509", *_KEY, *ca], cwd=pki)
    run(["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=pki)
    run(["openssl", "rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub"], cwd=pki)
    for name, (subject, alternatives) in CERTIFICATES.items():
        _certificate(pki, name, subject, alternatives)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def _certificate(pki: Path, name: str, subject: str, alternatives: str) -> None:
    request = ["-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject]
    run(["openssl", "req", *_KEY, *request], cwd=pki)
    (pki / f"{name}.ext").write_text(
        f"extendedKeyUsage=serverAuth,clientAuth\nsubjectAltName={alternatives}\n"
    )
    signer = ["-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "365"]
    files = ["-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", f"{name}.ext"]
    run(["openssl", "x509", "-req", *files, *signer], cwd=pki)


def kubeconfig(pki: Path, client: str, server: str = f"https://{NODE_IP}:{API_PORT}") -> str:
    """A kubeconfig that stands alone: the certificates are in it, not beside it."""

    def embed(name: str) -> str:
        return base64.b64encode((pki / name).read_bytes()).decode()

    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "tidegate",
                    "cluster": {"server": server, "certificate-authority-data": embed("ca.crt")},
                }
            ],
            "users": [
                {
                    "name": client,
                    "user": {
                        "client-certificate-data": embed(f"{client}.crt"),
                        "client-key-data": embed(f"{client}.key"),
                    },
                }
            ],
            "contexts": [{"name": "tidegate", "context": {"cluster": "tidegate", "user": client}}],
            "current-context": "tidegate",
        },
        sort_keys=False,
    )
