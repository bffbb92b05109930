"""The rules of ConfigMaps and Secrets. Pure.

In: decoded objects. Out: `CONFIG_MAPS` and `SECRETS`. Called through the table of strategies.
``stringData`` of a Secret is merged into ``data`` and never stored; a type that Kubernetes defines
has required keys.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    forbidden,
    invalid,
    invalid_each,
    required,
    too_long,
)
from vk.devcluster.validation.names import config_key_faults
from vk.devcluster.validation.strategy import Strategy

__all__ = ["CONFIG_MAPS", "SECRETS"]

_LIMIT = 1024 * 1024
_ACCOUNT = "kubernetes.io/service-account.name"
_KEYS_BY_TYPE = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_DOCKER_KEYS = (".dockerconfigjson", ".dockercfg")


def _check_config_map(config_map: dict[str, Any]) -> list[Cause]:
    data, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    causes: list[Cause] = []
    for key in sorted(data):
        causes += invalid_each(f"data[{key}]", key, config_key_faults(key))
        if key in binary:
            causes.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in sorted(binary):
        causes += invalid_each(f"binaryData[{key}]", key, config_key_faults(key))
    size = sum(len(text.encode()) for text in data.values())
    if size + _decoded_size(binary) > _LIMIT:
        causes.append(too_long("", _LIMIT))
    return causes


def _default_secret(secret: dict[str, Any]) -> None:
    secret.setdefault("type", "Opaque")
    texts = secret.pop("stringData", None) or {}
    if texts:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = (secret.get("data") or {}) | encoded


def _check_secret(secret: dict[str, Any]) -> list[Cause]:
    data = secret.get("data") or {}
    causes: list[Cause] = []
    for key in sorted(data):
        causes += invalid_each(f"data[{key}]", key, config_key_faults(key))
    if _decoded_size(data) > _LIMIT:
        causes.append(too_long("data", _LIMIT))
    return causes + _type_faults(secret, data)


def _type_faults(secret: dict[str, Any], data: dict[str, str]) -> list[Cause]:
    kind = secret["type"]
    if kind == "kubernetes.io/service-account-token":
        annotations = secret["metadata"].get("annotations") or {}
        return [] if annotations.get(_ACCOUNT) else [required(f"metadata.annotations[{_ACCOUNT}]")]
    if kind == "kubernetes.io/basic-auth":
        keys = ("username", "password")
        return (
            [] if any(key in data for key in keys) else [required(f"data[{key}]") for key in keys]
        )
    causes = [required(f"data[{key}]") for key in _KEYS_BY_TYPE.get(kind, ()) if key not in data]
    for key in _DOCKER_KEYS:
        if key in data and key in _KEYS_BY_TYPE.get(kind, ()):
            causes += _json_faults(f"data[{key}]", data[key])
    return causes


def _json_faults(field: str, encoded: str) -> list[Cause]:
    text = base64.b64decode(encoded).decode(errors="replace")
    try:
        value = json.loads(text)
    except ValueError:
        first = text.strip()[:1]
        detail = f"invalid character '{first}' looking for beginning of value"
        if not first or first in '{["0123456789tfn-':
            detail = "unexpected end of JSON input"
        return [invalid(field, "<secret contents redacted>", detail)]
    if isinstance(value, dict):
        return []
    return [invalid(field, "<secret contents redacted>", "must be a JSON object")]


def _decoded_size(data: dict[str, str]) -> int:
    texts = [text or "" for text in data.values()]  # a null stays what it is
    return sum(len(text) * 3 // 4 - text.count("=") for text in texts)


def _check_immutable(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    if not old.get("immutable"):
        return []
    causes: list[Cause] = []
    detail = "field is immutable when `immutable` is set"
    if not new.get("immutable"):
        causes.append(forbidden("immutable", detail))
    changed = [part for part in ("data", "binaryData") if old.get(part) != new.get(part)]
    return causes + [forbidden(part, detail) for part in changed]


def _check_secret_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    causes: list[Cause] = []
    if old["type"] != new["type"]:
        causes.append(invalid("type", new["type"], "field is immutable"))
    return causes + _check_immutable(old, new, subresource)


def _keep_type(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    """Only a type that the client left out is kept; the default has filled it in before."""
    if new["type"] == "Opaque":
        new["type"] = old["type"]


CONFIG_MAPS = Strategy(check=_check_config_map, check_update=_check_immutable)
SECRETS = Strategy(
    default=_default_secret,
    prepare_update=_keep_type,
    check=_check_secret,
    check_update=_check_secret_update,
)
