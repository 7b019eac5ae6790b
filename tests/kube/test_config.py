"""Where the apiserver is and who we are; no secret in a repr, no doubt in an error."""

import base64
import ssl
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.kube import config as module
from tidegate.kube.config import (
    ConfigError,
    KubeConfig,
    TokenFile,
    from_kubeconfig,
    in_cluster,
    load_config,
)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate (its own authority) and its key."""
    folder = tmp_path_factory.mktemp("pem")
    crt, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", crt, "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    return crt, key


def written(folder: Path, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> Path:
    path = folder / "kubeconfig"
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": dict(cluster)}],
                "users": [{"name": "u", "user": dict(user)}],
            }
        )
    )
    return path


def b64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


async def sent_authorization(found: KubeConfig) -> str | None:
    """The Authorization header as it reaches a server."""
    seen: list[str | None] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    async with TestServer(app) as server, found.session() as session:
        await (await session.get(server.make_url("/"))).read()
    return seen[0]


@pytest.mark.parametrize("inline", [True, False])
async def test_a_client_certificate_logs_in_by_file_or_inline(
    tmp_path: Path, pem: tuple[Path, Path], inline: bool
) -> None:
    crt, key = pem
    if inline:
        cluster = {"certificate-authority-data": b64(crt)}
        user = {"client-certificate-data": b64(crt), "client-key-data": b64(key)}
    else:
        cluster = {"certificate-authority": str(crt)}
        user = {"client-certificate": str(crt), "client-key": str(key)}
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(crt))
    theirs.verify_mode = ssl.CERT_REQUIRED
    theirs.load_cert_chain(crt, key)

    async def who(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=str(request.transport.get_extra_info("peercert")["subject"]))

    app = web.Application()
    app.router.add_get("/", who)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=theirs).start()
    try:
        url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        found = from_kubeconfig(written(tmp_path, {"server": url, **cluster}, user))
        assert found.base_url == url
        async with found.session() as session:
            answer = await session.get(url)
            assert "127.0.0.1" in await answer.text()
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.ClientError):
                await stranger.get(url)
    finally:
        await runner.cleanup()


async def test_a_token_is_sent_and_never_shown(tmp_path: Path) -> None:
    user = {"token": "s3cret"}
    found = from_kubeconfig(written(tmp_path, {"server": "http://127.0.0.1:1"}, user))
    assert "s3cret" not in repr(found)
    assert await sent_authorization(found) == "Bearer s3cret"


async def test_a_token_file_is_read_again_when_it_may_have_rotated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    path = tmp_path / "token"
    path.write_text("first\n")
    token = TokenFile(path)
    assert token.header() == "Bearer first"
    path.write_text("second\n")
    assert token.header() == "Bearer first"
    now += module.TOKEN_LIFE
    assert token.header() == "Bearer second"
    path.unlink()
    now += module.TOKEN_LIFE
    assert token.header() == "Bearer second"
    path.write_text("third")
    now += 1
    assert token.header() == "Bearer third"
    assert "third" not in repr(token)


def test_a_pod_finds_its_apiserver(tmp_path: Path, pem: tuple[Path, Path]) -> None:
    (tmp_path / "ca.crt").write_bytes(pem[0].read_bytes())
    (tmp_path / "token").write_text("t")
    (tmp_path / "namespace").write_text("desk\n")
    found = in_cluster({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert (found.base_url, found.namespace) == ("https://[fd00::1]:443", "desk")
    assert found.token_file is not None
    assert found.token_file.header() == "Bearer t"


def test_kubeconfig_goes_before_the_pod_s_account(tmp_path: Path) -> None:
    path = written(tmp_path, {"server": "http://a:1"}, {})
    env = {"KUBECONFIG": str(path), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert load_config(env).base_url == "http://a:1"


def test_no_cluster_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected KUBECONFIG"):
        load_config({"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({"server": "https://a"}, {"exec": {"command": "aws"}}, "plugin.*client certificate"),
        ({"server": "https://a"}, {"auth-provider": {}}, "plugin"),
        ({"server": ""}, {}, "expected server: https://HOST:PORT, was ''"),
        ({"server": "https://a", "proxy-url": "http://p"}, {}, "proxy-url"),
        ({"server": "https://a", "certificate-authority": "/none"}, {}, "No such file"),
        ({"server": "https://a", "certificate-authority-data": "%%"}, {}, "PEM"),
        ({"server": "https://a", "certificate-authority-data": "aGk="}, {}, "PEM"),
    ],
)
def test_a_kubeconfig_that_cannot_serve_says_why(
    tmp_path: Path, cluster: dict[str, Any], user: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        from_kubeconfig(written(tmp_path, cluster, user))
    assert "kubeconfig" in str(caught.value)


def test_half_a_client_certificate_is_refused(tmp_path: Path, pem: tuple[Path, Path]) -> None:
    user = {"client-certificate": str(pem[0])}
    with pytest.raises(ConfigError, match="client-key"):
        from_kubeconfig(written(tmp_path, {"server": "https://a"}, user))


def test_a_key_that_cannot_be_read_is_not_quoted(tmp_path: Path, pem: tuple[Path, Path]) -> None:
    bad = base64.b64encode(b"hush-hush").decode()
    user = {"client-certificate-data": b64(pem[0]), "client-key-data": bad}
    with pytest.raises(ConfigError) as caught:
        from_kubeconfig(written(tmp_path, {"server": "https://a"}, user))
    assert "hush" not in str(caught.value)
    assert bad not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", "contexts: []"])
def test_what_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigError, match=str(path)):
        from_kubeconfig(path)
