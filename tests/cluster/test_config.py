"""Where the server is and who we are: files that change, plugins that fail, TLS."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import orjson
import pytest
import trustme
from aiohttp import web
from scripted import Tokens, answer, pod, serve

from vk import errors
from vk.cluster import config
from vk.cluster.client import Client
from vk.cluster.config import Access, load_access
from vk.cluster.resources import PODS


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> str:
    path = folder / "config"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1/", **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_bytes(orjson.dumps(document))  # JSON is YAML
    return str(path)


def plugin(folder: Path, **status: str) -> dict[str, Any]:
    document = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential"}
    (folder / "answer").write_bytes(orjson.dumps({**document, "status": status}))
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(folder / "answer")],
            "interactiveMode": "Never",
        }
    }


@pytest.mark.slow  # the first import of kubernetes_asyncio takes seconds
async def test_a_token_file_is_stripped_and_read_again(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    access = await load_access(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert access.server == "http://127.0.0.1:1"
    assert await access.token() == "one"
    token.write_text("two\n")
    assert await access.token() == "one"
    await access.refresh()
    assert await access.token() == "two"
    assert await access.authorization() == "Bearer two"


async def test_a_plugin_that_fails_leaves_the_former_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    access = await load_access(kubeconfig(tmp_path, plugin(tmp_path, token="one")))
    assert await access.token() == "one"
    plugin(tmp_path, token="two")
    await access.refresh()
    assert await access.token() == "two"
    (tmp_path / "answer").unlink()
    await access.refresh()
    assert await access.token() == "two"
    assert any(record.message == "credentials not refreshed" for record in caplog.records)


@pytest.mark.parametrize(("expires", "then"), [("2020-01-01", "two"), ("2999-01-01", "one")])
async def test_a_plugin_is_asked_again_once_its_token_has_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expires: str, then: str
) -> None:
    """At the next look at the credentials, which here each request makes."""
    monkeypatch.setattr(config, "_INTERVAL", 0.0)
    until = f"{expires}T00:00:00Z"
    user = plugin(tmp_path, token="one", expirationTimestamp=until)
    access = await load_access(kubeconfig(tmp_path, user))
    plugin(tmp_path, token="two", expirationTimestamp="2999-01-01T00:00:00Z")
    assert await access.token() == then


async def test_the_server_never_changes_under_a_running_node(tmp_path: Path) -> None:
    access = await load_access(kubeconfig(tmp_path, {"token": "one"}))
    kubeconfig(tmp_path, {"token": "two"}, server="http://127.0.0.1:2")
    await access.refresh()
    assert access.server == "http://127.0.0.1:1"
    assert await access.token() == "one"


@pytest.mark.parametrize(
    "user",
    [
        {"token": "s3cret", "auth-provider": {"name": "oidc", "config": {}}},
        {"token": "s3cret", "exec": {"command": "cat"}},
        {"token": "s3cret", "as": "admin"},
        {"token": "s3cret\nInjected: yes"},
    ],
)
async def test_a_bad_user_is_one_line_without_secrets(tmp_path: Path, user: Any) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        await load_access(kubeconfig(tmp_path, user))
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "[", "a: b", "null"])
async def test_a_bad_file_is_one_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(errors.ConfigError, match="config") as caught:
        await load_access(str(path))
    assert "\n" not in str(caught.value)


async def test_without_any_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(errors.ConfigError, match="not in a pod"):
        await load_access("")


async def test_in_a_pod_a_kubeconfig_that_is_not_there_means_the_service_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for the Go program, whose manifests set KUBECONFIG."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(errors.ConfigError, match="not in a pod"):  # no token is mounted here
        await load_access(str(tmp_path / "missing"))


async def test_the_service_account_of_a_pod_is_used_and_its_token_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes_asyncio.config import incluster_config

    token, authority = tmp_path / "token", tmp_path / "ca.crt"
    token.write_text("one\n")
    authority.write_bytes(trustme.CA().cert_pem.bytes())
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    access = await load_access("")
    assert (access.server, await access.token()) == ("https://10.0.0.1:443", "one")
    token.write_text("two\n")
    await access.refresh()
    assert await access.token() == "two"


async def test_a_refresh_that_is_due_happens_and_its_failure_is_not_raised() -> None:
    source = Tokens(["one", "two", ValueError("s"), "three"], interval=0.0, server="http://x")
    access = Access(source, await source.read(False))
    assert await access.token() == "two"
    assert await access.token() == "two"  # failed: the former one, and no new try for a while
    assert await access.token() == "two"


def _ca(folder: Path) -> tuple[trustme.CA, ssl.SSLContext]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return authority, context


async def test_a_rotated_ca_is_picked_up(tmp_path: Path) -> None:
    async def handle(request: web.Request) -> web.Response:
        return answer(pod("a", 1))

    _, context = _ca(tmp_path)
    async with serve(handle, ssl=context) as server:
        user = {"token": "t"}
        path = kubeconfig(tmp_path, user, **{"server": server, "certificate-authority": "ca.pem"})
        async with Client(await load_access(path), user_agent="x") as client:
            await client.get(PODS, "a", namespace="x")

    _ca(tmp_path)
    async with serve(handle, ssl=context) as server:  # its certificate is of the former CA
        path = kubeconfig(tmp_path, user, **{"server": server, "certificate-authority": "ca.pem"})
        access = await load_access(path)
        async with Client(access, user_agent="x") as client:
            with pytest.raises(errors.UnavailableError, match=r"(?i)certificate"):
                await client.get(PODS, "a", namespace="x")


async def test_a_new_ca_file_makes_a_new_context(tmp_path: Path) -> None:
    _ca(tmp_path)
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority": "ca.pem"}
    access = await load_access(kubeconfig(tmp_path, {"token": "t"}, **cluster))
    before = access.ssl_context
    await access.refresh()
    assert access.ssl_context is before
    _ca(tmp_path)
    await access.refresh()
    assert access.ssl_context is not before
    (tmp_path / "ca.pem").write_text("half a certifi")
    last = access.ssl_context
    await access.refresh()
    assert access.ssl_context is last


async def test_a_renewed_client_certificate_is_shown_to_the_server(tmp_path: Path) -> None:
    authority, context = _ca(tmp_path)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        certificate = request.transport.get_extra_info("peercert")
        shown.extend(name for _, name in certificate["subjectAltName"])
        return answer(pod("a", 1))

    def issue(name: str) -> None:
        made = authority.issue_cert(name)
        made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")

    issue("first.example")
    async with serve(handle, ssl=context) as server:
        user = {"client-certificate": "client.pem", "client-key": "client.pem"}
        path = kubeconfig(tmp_path, user, **{"server": server, "certificate-authority": "ca.pem"})
        access = await load_access(path)
        async with Client(access, user_agent="x") as client:
            await client.get(PODS, "a", namespace="x")
            issue("second.example")
            await access.refresh()
            await client.get(PODS, "a", namespace="x")
    assert shown == ["first.example", "second.example"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the library is behind aiohttp
async def test_oidc_refreshes_without_writing_the_file(tmp_path: Path) -> None:
    """An issuer that gives no new refresh token is one of the library's crashes."""
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        if request.path.endswith("openid-configuration"):
            return answer({"token_endpoint": f"http://{request.host}/token"})
        form = await request.post()
        asked.append(str(form["refresh_token"]))
        return answer({"id_token": _jwt(len(asked))})

    async with serve(handle) as issuer:
        settings = {
            "client-id": "c",
            "client-secret": "s",
            "idp-issuer-url": issuer,
            "refresh-token": "r",
        }
        path = kubeconfig(tmp_path, {"auth-provider": {"name": "oidc", "config": settings}})
        before = _content(path)
        access = await load_access(path)
        assert await access.token() == _jwt(1)
        await access.refresh()
        assert await access.token() == _jwt(2)
    assert asked == ["r", "r"]
    assert _content(path) == before


def _jwt(number: int) -> str:
    part = base64.b64encode(orjson.dumps({"exp": 4_000_000_000 + number})).decode().rstrip("=")
    return f"x.{part}.x"


def _content(path: str) -> bytes:
    return Path(path).read_bytes()
