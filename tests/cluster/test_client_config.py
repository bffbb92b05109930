"""Which cluster and user kubeconfig files mean, as a table; kubectl judges each row."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_config import kubeconfig

from vk.cluster.client_config import ClientConfig, client_config, environment_proxy
from vk.cluster.config import load_access
from vk.errors import ConfigError
from vk.testing.kubectl import find_kubectl

pytestmark = pytest.mark.field


def one(name: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    """Return a whole kubeconfig whose cluster, user and context have one name."""
    server = f"https://{name}.example:6443"
    return {
        "clusters": [{"name": name, "cluster": {"server": server, **cluster}}],
        "users": [{"name": name, "user": user or {"token": f"token-of-{name}"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }


def named(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the document with all names set to ``name``: its entries clash with another's."""
    text = json.dumps({**document, "clusters": [], "users": []}).replace(
        document["current-context"], name
    )
    renamed: dict[str, Any] = json.loads(text)
    for kind in ("clusters", "users"):
        renamed[kind] = [{**document[kind][0], "name": name}]
    return renamed


FILES: dict[str, list[Any]] = {
    "one file": [one("a")],
    "the first current-context counts": [one("a"), one("b")],
    "an empty current-context sets nothing": [{**one("a"), "current-context": ""}, one("b")],
    "an empty current-context in a later file": [one("a"), {**one("b"), "current-context": ""}],
    "an empty file": [None, one("a")],
    "an empty file at the end": [one("a"), None],
    "a file that is not there": ["missing", one("a")],
    "of one name the first entry counts as a whole": [
        one("a", {"client-certificate": "a.crt", "client-key": "a.key"}),
        named(one("b", {"token": "b", "username": "b"}), "a"),
    ],
    "cluster, user and context from three files": [
        {"clusters": one("a")["clusters"]},
        {"users": one("a")["users"]},
        {"contexts": one("a")["contexts"], "current-context": "a"},
    ],
    "a user from another file with relative paths": [
        {**one("a", **{"certificate-authority": "pki/ca.crt"}), "users": []},
        {"users": one("a", {"client-certificate": "pki/me.crt", "client-key": "../k"})["users"]},
    ],
    "an absolute path stays": [one("a", {"tokenFile": "/run/secrets/token"})],
    "a relative tokenFile": [one("a", {"tokenFile": "tok"})],
    "a plugin's command relative to the file": [
        one("a", {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "./x"}})
    ],
    "a plugin's command on the path": [
        one("a", {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "x"}})
    ],
    "fields of a cluster": [
        one(
            "a",
            **{"tls-server-name": "name", "proxy-url": "http://p:1", "disable-compression": True},
        )
    ],
    "no such context": [{**one("a"), "current-context": "b"}],
    "no such user": [{**one("a"), "users": []}],
    "no such cluster": [{**one("a"), "clusters": []}],
}


def written(tmp_path: Path, documents: list[Any]) -> list[Path]:
    """Write each document into a folder of its own."""
    paths = []
    for number, document in enumerate(documents):
        path = tmp_path / str(number) / "config"
        paths.append(path)
        for name in ("pki/ca.crt", "pki/me.crt", "a.crt", "a.key", "../k"):
            file = path.parent / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(file.resolve()))
        if document != "missing":
            path.write_text("" if document is None else yaml.safe_dump(document))
    return paths


def ours(paths: list[Path]) -> ClientConfig | None:
    """Return what we read; None: it is refused."""
    found = [(path, yaml.safe_load(path.read_text())) for path in paths if path.exists()]
    try:
        return client_config(found)
    except ConfigError:
        return None


def kubectls(paths: list[Path]) -> dict[str, Any] | None:
    """Return what kubectl reads, of its one context; None: it is refused."""
    kubectl = find_kubectl()
    assert kubectl is not None
    done = subprocess.run(
        [kubectl, "config", "view", "--minify", "--raw", "--flatten", "-o", "json"],
        env={**os.environ, "KUBECONFIG": os.pathsep.join(map(str, paths))},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    if not found["clusters"] or not found["users"]:  # refused where it is used
        return None
    return found


@pytest.mark.skipif(find_kubectl() is None, reason="there is no kubectl")
@pytest.mark.parametrize("case", FILES)
def test_the_files_mean_what_kubectl_reads(tmp_path: Path, case: str) -> None:
    paths = written(tmp_path, FILES[case])
    mine, theirs = ours(paths), kubectls(paths)
    assert (mine is None) == (theirs is None)
    if mine is not None and theirs is not None:
        assert mine.context == theirs["current-context"]
        assert comparable(mine.cluster) == comparable(theirs["clusters"][0]["cluster"])
        assert comparable(mine.user) == comparable(theirs["users"][0]["user"])


def comparable(entry: Any) -> dict[str, Any]:
    """Return an entry with the contents of its files, as kubectl flattens it.

    It leaves token files and plugins as they are written; what they give is tested below.
    """
    result = dict(entry)
    for name in ("certificate-authority", "client-certificate", "client-key"):
        if path := result.pop(name, None):
            result[f"{name}-data"] = base64.b64encode(Path(path).read_bytes()).decode()
    for name in ("tokenFile", "exec"):
        if name in result:
            result[name] = "given"
    return result


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([], "expected a mapping, found list"),
        ({"clusters": {"a": 1}}, "clusters: expected a list"),
        ({"users": [{"user": {}}]}, "users: expected a name in each entry"),
        ({"users": [{"name": "u"}, {"name": "u"}]}, "expected one entry of the name 'u'"),
        ({}, "expected a current-context, found none"),
    ],
)
def test_a_document_of_a_wrong_shape_is_refused(document: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        client_config([(Path("/a/config"), document)])


@pytest.mark.slow
async def test_a_token_file_counts_more_than_the_token_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tok").write_text("right")
    access = await load_access(kubeconfig(tmp_path, {"token": "wrong", "tokenFile": "tok"}))
    assert await access.token() == "right"


PLUGIN = """
import json, os
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
token = "-".join([info["spec"]["cluster"]["server"], os.environ["OWN"]])
answer = {"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": {"token": token}}
print(json.dumps(answer))
"""


@pytest.mark.slow
async def test_a_plugin_is_told_the_cluster_and_its_own_variables(tmp_path: Path) -> None:
    """Also with ``args: null``, and by a command relative to the file."""
    script = tmp_path / "bin" / "plugin"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\n{PLUGIN}")
    script.chmod(0o755)
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "./bin/plugin",
        "args": None,
        "env": [{"name": "OWN", "value": "mine"}],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    access = await load_access(kubeconfig(tmp_path, {"exec": plugin}))
    assert await access.token() == "http://127.0.0.1:1/-mine"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"installHint": "install it\nfirst"}, "no-such-plugin: No such file.*; install it first"),
        ({"interactiveMode": "Always"}, "interactiveMode Always needs a terminal"),
        ({"apiVersion": ""}, "expected apiVersion .*, found none"),
    ],
)
async def test_a_plugin_that_cannot_run_says_what_to_do(
    tmp_path: Path, changes: dict[str, str], text: str
) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-plugin",
        "interactiveMode": "Never",
        **changes,
    }
    with pytest.raises(ConfigError, match=text):
        await load_access(kubeconfig(tmp_path, {"exec": plugin}))


V1 = "client.authentication.k8s.io/v1"
TOKEN = {"token": "t"}


def with_plugin(**changes: Any) -> dict[str, Any]:
    return {"exec": {"apiVersion": V1, "command": "x", "interactiveMode": "Never", **changes}}


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    # what is wrong: the file, what kubectl prints, what we print
    "a token and a password": (
        one("a", {**TOKEN, "username": "u", "password": "p"}),
        "more than one authentication method",
        "a token or a username and password, found both",
    ),
    "a token file and a password": (
        one("a", {"tokenFile": os.devnull, "username": "u", "password": "p"}),
        "",
        "a token or a username and password, found both",
    ),
    "a token that is a number": (one("a", {"token": 1}), "cannot unmarshal", "token: expected"),
    "no interactiveMode in v1": (
        one("a", with_plugin(interactiveMode=None)),
        "interactiveMode must be specified",
        "expected interactiveMode .*, found none",
    ),
    "an unknown interactiveMode": (
        one("a", with_plugin(interactiveMode="Maybe")),
        "invalid interactiveMode",
        "expected interactiveMode .*, found 'Maybe'",
    ),
    "a version of plugins that is gone": (
        one("a", with_plugin(apiVersion="client.authentication.k8s.io/v1alpha1")),
        "invalid apiVersion",
        "expected apiVersion .*, found 'client.authentication.k8s.io/v1alpha1'",
    ),
    "a plugin that is wrong and not used": (
        one("a", {**TOKEN, **with_plugin(interactiveMode="Maybe")}),
        "invalid interactiveMode",
        "expected interactiveMode",
    ),
    "a variable without a name": (
        one("a", with_plugin(env=[{"value": "x"}])),
        "env variable name must be specified",
        "env: expected a name",
    ),
    "a plugin and an auth-provider": (
        one("a", {**with_plugin(), "auth-provider": {"name": "oidc"}}),
        "authProvider cannot be provided in combination",
        "expected exec or auth-provider, found both",
    ),
    "insecure with a certificate authority": (
        one("a", **{"insecure-skip-tls-verify": True, "certificate-authority": os.devnull}),
        "root certificates file with the insecure flag",
        "insecure-skip-tls-verify or certificate-authority, found both",
    ),
    "another kind": ({**one("a"), "kind": "Pod", "apiVersion": "v1"}, "no kind", "kind Config"),
    "another version": (
        {**one("a"), "kind": "Config", "apiVersion": "v9"},
        "no kind",
        "expected apiVersion v1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_kubectl_refuses_is_refused(tmp_path: Path, case: str) -> None:
    """Also the other way round: kubectl refuses each before it asks the server."""
    document, theirs, mine = REFUSED[case]
    path = tmp_path / "config"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=mine):
        client_config([(path, document)])
    if kubectl := find_kubectl():
        done = subprocess.run(
            [kubectl, "get", "--raw", "/version"],
            env={**os.environ, "KUBECONFIG": str(path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode
        assert theirs in done.stderr
        assert "connect" not in done.stderr and "lookup" not in done.stderr


def test_an_older_version_of_plugins_needs_no_interactive_mode() -> None:
    plugin = with_plugin(apiVersion="client.authentication.k8s.io/v1beta1", interactiveMode=None)
    assert client_config([(Path("/a/config"), one("a", plugin))]).user["exec"]["command"] == "x"


PROXY = {"HTTPS_PROXY": "http://proxy:3128"}


@pytest.mark.parametrize(
    ("server", "environ", "expected"),
    [
        ("https://api.example", PROXY, "http://proxy:3128"),
        ("https://api.example", {"https_proxy": "proxy:3128"}, "http://proxy:3128"),
        ("http://api.example", PROXY, None),
        ("http://api.example", {"HTTP_PROXY": "http://proxy:1"}, "http://proxy:1"),
        ("https://localhost:6443", PROXY, None),
        ("https://127.0.0.1:6443", PROXY, None),
        ("https://[::1]:6443", PROXY, None),
        ("https://api.example", {**PROXY, "NO_PROXY": "*"}, None),
        ("https://api.example", {**PROXY, "NO_PROXY": "example"}, None),
        ("https://api.example", {**PROXY, "NO_PROXY": "a, .example"}, None),
        ("https://example", {**PROXY, "NO_PROXY": ".example"}, "http://proxy:3128"),
        ("https://notexample", {**PROXY, "NO_PROXY": "example"}, "http://proxy:3128"),
        ("https://api.example:6443", {**PROXY, "NO_PROXY": "api.example:6443"}, None),
        ("https://api.example", {**PROXY, "NO_PROXY": "api.example:6443"}, "http://proxy:3128"),
        ("https://10.1.2.3", {**PROXY, "no_proxy": "10.0.0.0/8"}, None),
        ("https://10.1.2.3", {**PROXY, "NO_PROXY": "10.1.2.3"}, None),
        ("https://11.1.2.3", {**PROXY, "NO_PROXY": "10.0.0.0/8"}, "http://proxy:3128"),
        ("https://api.example", {**PROXY, "NO_PROXY": ",,"}, "http://proxy:3128"),
    ],
)
def test_the_proxy_of_the_environment_is_read_as_go_reads_it(
    server: str, environ: dict[str, str], expected: str | None
) -> None:
    assert environment_proxy(server, environ) == expected


async def test_a_proxy_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="proxy-url: expected http or https"):
        await load_access(kubeconfig(tmp_path, {"token": "t"}, **{"proxy-url": "socks5://p:1"}))
