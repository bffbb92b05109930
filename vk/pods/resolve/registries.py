"""Registry credentials from image pull secrets, as the kubelet reads them.

In: the secrets that a pod names, the service account's among them: the API server copies those into
a pod that has none of its own. Out: `RegistryCredential` values and notices. Pure. No message
contains any content of a secret.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from vk.models.api_object import spec_of
from vk.models.files import RegistryCredential
from vk.models.pod import Json
from vk.pods.errors import Notice

__all__ = ["pull_secrets", "registry_credentials"]

_REASON = "FailedToRetrieveImagePullSecret"
_VERSIONS = ("/v1/", "/v2/")


def pull_secrets(raw: Json) -> list[str]:
    """Return the names of the pod's image pull secrets, each once."""
    entries = spec_of(raw).get("imagePullSecrets") or ()
    return list(dict.fromkeys(entry["name"] for entry in entries if entry.get("name")))


def registry_credentials(
    secrets: Mapping[str, Json | None],
) -> tuple[tuple[RegistryCredential, ...], list[Notice]]:
    """Return the credentials in ``secrets``, in their order, and what is wrong with the others.

    A secret that is missing or cannot be read keeps no pod from starting: the image may be public.
    """
    found: list[RegistryCredential] = []
    notices: list[Notice] = []
    for name, secret in secrets.items():
        try:
            found += _credentials(secret)
        except (ValueError, AttributeError, TypeError):  # malformed in any way
            notices.append(_notice(name, "holds no registry credentials that can be read"))
        except LookupError:
            notices.append(_notice(name, "not found"))
    return tuple(found), notices


def _notice(name: str, problem: str) -> Notice:
    text = f"image pull secret {name!r} {problem}; pulling the image may not succeed"
    return Notice(reason=_REASON, message=text)


def _credentials(secret: Json | None) -> list[RegistryCredential]:
    if secret is None:
        raise LookupError
    data = secret.get("data") or {}
    if ".dockerconfigjson" in data:
        entries = _json(data[".dockerconfigjson"]).get("auths") or {}
    elif ".dockercfg" in data:
        entries = _json(data[".dockercfg"])
    else:
        raise ValueError
    return list(_read(entries))


def _json(encoded: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(b64decode(encoded))
    return found


def _read(entries: Mapping[str, Any]) -> Iterator[RegistryCredential]:
    for registry, entry in entries.items():
        user, password = entry.get("username") or "", entry.get("password") or ""
        if entry.get("auth"):
            user, password = _decoded(entry["auth"])
        yield RegistryCredential(_host(registry), user, password)


def _decoded(auth: str) -> tuple[str, str]:
    """Return user and password of ``user:password`` in base64, also without padding."""
    try:
        text = b64decode(auth + "=" * (-len(auth) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("not base64") from None
    user, colon, password = text.partition(":")
    if not colon:
        raise ValueError("no password")
    return user, password


def _host(registry: str) -> str:
    """Return the registry without scheme, and without the version that old entries carry."""
    rest = registry.partition("://")[2] or registry
    host, slash, path = rest.partition("/")
    path = slash + path
    if path.startswith(_VERSIONS):
        path = path[3:]
    return host + path.rstrip("/")
