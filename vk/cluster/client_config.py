"""Which cluster and user the kubeconfig files name: the rules of client-go's ``clientcmd``. Pure.

In: the files' documents, in the order of ``KUBECONFIG``. Out: one cluster and one user, with paths
made absolute. `vk.cluster.config` reads the files and takes the credentials from the result.

The first file that sets a value wins: an entry of a name that an earlier file has is left out as a
whole, and so is a later ``current-context``; an empty one sets nothing. Relative paths belong to
the file that they stand in; so does the command of an exec plugin that contains a slash.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs

from vk.errors import ConfigError
from vk.models.pod import Json

__all__ = ["ClientConfig", "client_config", "environment_proxy"]

_PATHS = {
    "cluster": ("certificate-authority",),
    "user": ("client-certificate", "client-key", "tokenFile"),
}
_LISTS = {"clusters": "cluster", "users": "user", "contexts": "context"}
_EXEC_V1 = "client.authentication.k8s.io/v1"
_EXEC_VERSIONS = (_EXEC_V1, "client.authentication.k8s.io/v1beta1")
_INTERACTIVE_MODES = ("Always", "IfAvailable", "Never")


@attrs.frozen
class ClientConfig:
    """The context that is used, its cluster, and its user (empty: none is named)."""

    context: str
    cluster: Json
    user: Json = attrs.field(repr=False)

    def document(self) -> dict[str, Any]:
        """Return a kubeconfig of this one context."""
        names = {"cluster": "cluster", "user": "user"}
        return {
            "current-context": self.context,
            "contexts": [{"name": self.context, "context": names}],
            "clusters": [{"name": "cluster", "cluster": self.cluster}],
            "users": [{"name": "user", "user": self.user}],
        }


def client_config(
    documents: Iterable[tuple[Path, object]], context: str | None = None
) -> ClientConfig:
    """Return what the documents mean; ``context`` None: the ``current-context``.

    Raises ConfigError, which names the file or the context and what is missing.
    """
    known: dict[str, dict[str, Json]] = {name: {} for name in _LISTS}
    current = ""
    for path, document in documents:
        entries = _mapping(document, f"kubeconfig {path}")
        for name, expected in (("apiVersion", "v1"), ("kind", "Config")):
            if (entries.get(name) or expected) != expected:
                raise ConfigError(f"kubeconfig {path}: expected {name} {expected}")
        current = current or str(entries.get("current-context") or "")
        for name, kind in _LISTS.items():
            for key, entry in _named(path, entries, name, kind).items():
                known[name].setdefault(key, entry)
    chosen = current if context is None else context
    if not chosen:
        raise ConfigError("expected a current-context, found none")
    names = _entry(known["contexts"], "context", chosen)
    cluster = _entry(known["clusters"], "cluster", str(names.get("cluster") or ""))
    user_name = str(names.get("user") or "")
    user = _entry(known["users"], "user", user_name) if user_name else {}
    _check_cluster(cluster)
    _check_user(user)
    return ClientConfig(chosen, cluster, _user(user))


def environment_proxy(server: str, environ: Mapping[str, str]) -> str | None:
    """Return the proxy on the way to ``server`` by ``HTTPS_PROXY``, ``NO_PROXY`` and their kind.

    As Go reads them: a name in ``NO_PROXY`` covers its subdomains, one that begins with a dot these
    alone; addresses, networks and ports count; a loopback address never has a proxy.
    """
    url = urlsplit(server)
    host = (url.hostname or "").rstrip(".").lower()
    variable = "HTTPS_PROXY" if url.scheme == "https" else "HTTP_PROXY"
    proxy = environ.get(variable) or environ.get(variable.lower()) or ""
    exceptions = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    if not proxy or _is_loopback(host):
        return None
    if any(_covers(one.strip().lower(), host, port) for one in exceptions.split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: expected a mapping, found {type(value).__name__}")
    return value


def _named(path: Path, document: Mapping[str, Any], name: str, kind: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    entries = document.get(name) or []
    if not isinstance(entries, list):
        raise ConfigError(f"kubeconfig {path}: {name}: expected a list")
    for one in entries:
        where = f"kubeconfig {path}: {name}"
        key = _mapping(one, where).get("name")
        if not isinstance(key, str):
            raise ConfigError(f"{where}: expected a name in each entry")
        if key in found:
            raise ConfigError(f"{where}: expected one entry of the name {key!r}, found two")
        found[key] = _absolute(path, kind, _mapping(one.get(kind), f"{where}: {key}"))
    return found


def _absolute(path: Path, kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    folder, result = os.path.dirname(os.path.abspath(path)), dict(entry)
    for name in _PATHS.get(kind, ()):
        if result.get(name):
            result[name] = os.path.normpath(os.path.join(folder, str(result[name])))
    plugin = result.get("exec")
    if isinstance(plugin, Mapping) and os.sep in str(plugin.get("command") or ""):
        command = os.path.normpath(os.path.join(folder, plugin["command"]))
        result["exec"] = {**plugin, "command": command}
    return result


def _entry(entries: Mapping[str, Json], kind: str, name: str) -> Json:
    if name not in entries:
        raise ConfigError(f"there is no {kind} {name!r}")
    return entries[name]


def _check_cluster(cluster: Json) -> None:
    names = ("certificate-authority", "certificate-authority-data")
    if cluster.get("insecure-skip-tls-verify") and any(cluster.get(name) for name in names):
        raise ConfigError("expected insecure-skip-tls-verify or certificate-authority, found both")


def _check_user(user: Json) -> None:
    """Raise ConfigError for what client-go refuses, also in an entry that would not be used."""
    for name in ("token", "tokenFile", "username", "password"):
        if not isinstance(user.get(name) or "", str):
            raise ConfigError(f"{name}: expected a string")
    with_token = user.get("token") or user.get("tokenFile")
    if with_token and (user.get("username") or user.get("password")):
        raise ConfigError("expected a token or a username and password, found both")
    plugin = _mapping(user.get("exec"), "exec")
    if not plugin:
        return
    if user.get("auth-provider"):
        raise ConfigError("expected exec or auth-provider, found both")
    if not plugin.get("command"):
        raise ConfigError("exec: expected command, found none")
    version, mode = plugin.get("apiVersion"), plugin.get("interactiveMode")
    if version not in _EXEC_VERSIONS:
        found = repr(version) if version else "none"
        raise ConfigError(f"exec: expected apiVersion {' or '.join(_EXEC_VERSIONS)}, found {found}")
    if (mode or version == _EXEC_V1) and mode not in _INTERACTIVE_MODES:
        found = repr(mode) if mode else "none"
        modes = ", ".join(_INTERACTIVE_MODES)
        raise ConfigError(f"exec: expected interactiveMode (one of {modes}), found {found}")
    if not all(one.get("name") for one in plugin.get("env") or ()):
        raise ConfigError("exec: env: expected a name in each entry")


def _user(user: Json) -> Json:
    """Return the user with the one way to authenticate that counts.

    A token's file counts more than the token beside it, and an exec plugin is not run where a token
    or a password is given.
    """
    result = dict(user)
    if result.get("tokenFile"):
        result.pop("token", None)
    if result.get("tokenFile") or result.get("token") or result.get("username"):
        result.pop("exec", None)
    return result


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _covers(exception: str, host: str, port: int) -> bool:
    if exception in ("", "*"):
        return exception == "*"
    name, number = exception, ""
    if exception.count(":") == 1:
        name, _, number = exception.rpartition(":")
    if number and number != str(port):
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        pass
    name = name.removeprefix("*")
    if name.startswith("."):
        return host.endswith(name)
    return host == name or host.endswith(f".{name}")
