"""The OpenAPI documents that kubectl needs before it creates or applies. Pure.

kubectl only looks whether PATCH of a kind knows ``fieldValidation``; then it leaves validation to
the server. So there are paths and parameters here, and no schemas: ``kubectl explain`` finds
nothing. A manifest of kind List it validates by the schemas of version 2, where it passes over
every kind that it does not find.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from vk.devcluster.kinds import KINDS, Kind

__all__ = ["VERSION_2", "VERSION_2_PROTOBUF", "document"]

VERSION_2 = "/openapi/v2"
VERSION_2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PREFIX = "/openapi/v3"
_INFO = {"title": "Kubernetes", "version": "vk"}


@cache
def document(path: str) -> dict[str, Any] | None:
    """Return the document of a path, None when there is none. The result is shared."""
    if path == VERSION_2:
        return {"swagger": "2.0", "info": _INFO, "paths": {}}
    if path == _PREFIX:
        pages = {_page(kind): {"serverRelativeURL": f"{_PREFIX}/{_page(kind)}"} for kind in KINDS}
        return {"paths": pages}
    kinds = [kind for kind in KINDS if path == f"{_PREFIX}/{_page(kind)}"]
    if not kinds:
        return None
    paths: dict[str, Any] = {}
    for kind in kinds:
        paths |= _paths(kind)
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": paths,
        "components": {"schemas": {}},
    }


def _page(kind: Kind) -> str:
    return f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"


def _paths(kind: Kind) -> dict[str, Any]:
    collection = f"/{_page(kind)}/" + ("namespaces/{namespace}/" if kind.namespaced else "")
    collection += kind.plural
    described: dict[str, Any] = {}
    if "create" in kind.verbs:
        described[collection] = {"post": _operation(kind, "post")}
    if "patch" in kind.verbs:
        described[f"{collection}/{{name}}"] = {
            "patch": _operation(kind, "patch"),
            "put": _operation(kind, "put"),
        }
    return described


def _operation(kind: Kind, action: str) -> dict[str, Any]:
    names = ("dryRun", "fieldManager", "fieldValidation")
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in names
        ],
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": {
            "group": kind.group,
            "version": kind.version,
            "kind": kind.name,
        },
    }
