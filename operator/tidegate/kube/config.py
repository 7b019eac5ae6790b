"""Where the apiserver is and who we are: in a pod, or by a kubeconfig.

Nothing here keeps a secret longer than it must, and no repr shows one.
"""

import base64
import binascii
import contextlib
import os
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Projected tokens rotate; the kubelet renews them well before they end.
TOKEN_LIFE = 30.0


class ConfigError(Exception):
    """Names the file or variable, what was expected and what was found."""


class TokenFile:
    """A bearer token that is read again when it may have rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._token = ""
        self._read_at = -TOKEN_LIFE

    def header(self) -> str:
        now = time.monotonic()
        if now - self._read_at >= TOKEN_LIFE:
            try:
                self._token = self._path.read_text().strip()
                self._read_at = now
            except OSError:
                # The old one may serve a while longer; without one the API says Forbidden.
                self._read_at = now - TOKEN_LIFE + 1
        return f"Bearer {self._token}"


@dataclass(frozen=True)
class KubeConfig:
    base_url: str
    tls: ssl.SSLContext | None = field(repr=False)
    token: str = field(default="", repr=False)
    token_file: TokenFile | None = field(default=None, repr=False)
    namespace: str = "default"

    def session(self) -> aiohttp.ClientSession:
        """A session that authenticates every request. Must be made inside a running loop."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self.tls if self.tls is not None else True)
        return aiohttp.ClientSession(connector=connector, middlewares=(self._authenticate,))

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.token_file is not None:
            request.headers["Authorization"] = self.token_file.header()
        elif self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return await handler(request)


def load_config(environ: Mapping[str, str] | None = None) -> KubeConfig:
    """KUBECONFIG when set, else the pod's service account, else ~/.kube/config.

    Raises ConfigError.
    """
    env = os.environ if environ is None else environ
    if env.get("KUBECONFIG"):
        return from_kubeconfig(Path(env["KUBECONFIG"].split(os.pathsep)[0]))
    if env.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(env)
    home = Path(env.get("HOME", "/")) / ".kube" / "config"
    if home.is_file():
        return from_kubeconfig(home)
    raise ConfigError(
        "no cluster: expected KUBECONFIG, a pod's service account, or ~/.kube/config; found none"
    )


def in_cluster(env: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> KubeConfig:
    host, port = env["KUBERNETES_SERVICE_HOST"], env.get("KUBERNETES_SERVICE_PORT", "443")
    authority = folder / "ca.crt"
    if not authority.is_file():
        raise ConfigError(f"{authority}: expected the cluster's CA, was missing")
    if ":" in host:
        host = f"[{host}]"
    namespace = folder / "namespace"
    try:
        tls = _trusting(cafile=str(authority))
    except OSError as error:
        raise ConfigError(f"{authority}: expected the cluster's CA: {error}") from error
    return KubeConfig(
        base_url=f"https://{host}:{port}",
        tls=tls,
        token_file=TokenFile(folder / "token"),
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
    )


def _named(items: Any, name: str, kind: str, path: Path) -> dict[str, Any]:
    for item in items or ():
        if item.get("name") == name:
            return dict(item.get(kind) or {})
    raise ConfigError(f"{path}: expected a {kind} named {name!r}, found none")


def from_kubeconfig(path: Path) -> KubeConfig:
    """The current context: client certificate or token, inline or by file."""
    import yaml  # a guard never gets here, and starts faster without it

    try:
        raw = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: expected a kubeconfig: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a kubeconfig, was {type(raw).__name__}")
    context = _named(raw.get("contexts"), str(raw.get("current-context", "")), "context", path)
    cluster = _named(raw.get("clusters"), str(context.get("cluster")), "cluster", path)
    user = _named(raw.get("users"), str(context.get("user")), "user", path)
    if "exec" in user or "auth-provider" in user:
        raise ConfigError(
            f"{path}: user {context.get('user')!r} logs in by a plugin; expected a client "
            "certificate or a token: make a kubeconfig with one of them"
        )
    for unread in ("proxy-url", "tls-server-name"):
        if cluster.get(unread):
            raise ConfigError(
                f"{path}: cluster {context.get('cluster')!r} sets {unread}, which is not "
                "supported: make a kubeconfig without it"
            )
    server = str(cluster.get("server", ""))
    if not server.startswith(("https://", "http://")):
        raise ConfigError(
            f"{path}: cluster {context.get('cluster')!r}: expected server: https://HOST:PORT, "
            f"was {server!r}"
        )
    try:
        tls = _tls(cluster, user, path.parent) if server.startswith("https") else None
    except (OSError, binascii.Error, UnicodeDecodeError) as error:
        # ssl and base64 name what is wrong and never quote the key.
        raise ConfigError(
            f"{path}: expected certificates and keys in PEM, by file or in base64: {error}"
        ) from error
    token_path = user.get("tokenFile")
    return KubeConfig(
        base_url=server,
        tls=tls,
        token=str(user.get("token") or ""),
        token_file=TokenFile(path.parent / token_path) if token_path else None,
        namespace=str(context.get("namespace") or "default"),
    )


def _trusting(*, cafile: str | None = None, cadata: str | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=cafile, cadata=cadata)
    # Default from Python 3.13 on; many a cluster's own CA lacks the key identifiers it asks for.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _decoded(text: str) -> bytes:
    # Strictly: leniently read, a spoilt CA is an empty one, and an empty one trusts the system's.
    return base64.b64decode("".join(str(text).split()), validate=True)


def _tls(cluster: dict[str, Any], user: dict[str, Any], folder: Path) -> ssl.SSLContext:
    """Raises OSError (ssl.SSLError too), binascii.Error, UnicodeDecodeError, ConfigError."""
    inline = cluster.get("certificate-authority-data")
    file = cluster.get("certificate-authority")
    context = _trusting(
        cafile=str(folder / file) if file and not inline else None,
        cadata=_decoded(inline).decode() if inline else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    with contextlib.ExitStack() as stack:

        def pem(key: str) -> str | None:
            if user.get(f"{key}-data"):
                # ssl reads keys from files only; this one is private and gone in a moment.
                temporary = stack.enter_context(tempfile.NamedTemporaryFile())
                temporary.write(_decoded(user[f"{key}-data"]))
                temporary.flush()
                return temporary.name
            return str(folder / user[key]) if user.get(key) else None

        certificate, private = pem("client-certificate"), pem("client-key")
        if bool(certificate) != bool(private):
            found, missing = ("certificate", "key") if certificate else ("key", "certificate")
            raise ConfigError(f"expected a client-{missing} beside the client-{found}, found none")
        if certificate and private:
            context.load_cert_chain(certificate, private)
    return context
