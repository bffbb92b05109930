"""The pods in manifest files: the spec of each, and where it stands.

In: the text of a file, YAML of any number of documents or JSON. Out: `PodSpec` values in its order,
typed as the API server types them. Every mistake is a ConfigError of one line, with file, line and
field. Objects that run no pods, and kinds that are not Kubernetes' own, are passed over. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vk.devcluster.documents import Document, DocumentError, parse_documents
from vk.devcluster.validation.decoding import WrongTypeError, decode_struct
from vk.devcluster.validation.types import struct_of
from vk.errors import ConfigError

__all__ = ["PodSpec", "pod_specs", "unreadable"]

Json = Mapping[str, Any]

_GROUPS = ("", "apps", "batch", "extensions")
# Where each kind keeps the spec of its pods.
_SPECS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"),
        ("spec", "template", "spec"),
    ),
}
_CLAIMS = "volumeClaimTemplates"
_KINDS = {kind.lower(): kind for kind in _SPECS}


@attrs.frozen
class PodSpec:
    """The spec of pods in a manifest: what object it is in, and where."""

    kind: str
    name: str
    place: str
    spec: Json = attrs.field(repr=False)
    claims: int = 0
    """How many ``spec.volumeClaimTemplates`` the object has: more volumes of its pods."""


def pod_specs(path: str, text: str) -> Iterator[PodSpec]:
    """Yield the spec of every pod in ``text``, which is that of the file ``path``.

    Raises ConfigError.
    """
    try:
        documents = parse_documents(text)
    except DocumentError as error:
        raise unreadable(path, str(error), error.line) from error
    if not documents:
        raise unreadable(path, "holds no object")
    for document in documents:
        yield from _in_document(path, document)


def unreadable(path: str, text: str, line: int = 0) -> ConfigError:
    """Return the error for a file that cannot be read, and the line where that shows."""
    name = "standard input" if path == "-" else path
    return ConfigError(f"-f: {name}:{line}: {text}" if line else f"-f: {name}: {text}")


def _in_document(path: str, document: Document, default: str = "") -> Iterator[PodSpec]:
    """Yield what is in one object or list; ``default`` is the kind of an object that names none."""
    value = document.value
    if not isinstance(value, dict):
        word = "a list" if isinstance(value, list) else "a plain value"
        raise unreadable(path, f"expected a Kubernetes object, not {word}", document.line)
    kind = value.get("kind", default)
    if not isinstance(kind, str) or not kind:
        raise unreadable(path, "kind: expected a text such as Pod", document.at("kind"))
    group, slash, _ = str(value.get("apiVersion") or "").partition("/")
    if slash and group not in _GROUPS:
        return
    one = kind.removesuffix("List")
    if one != kind and one in ("", *_SPECS):
        yield from _in_list(path, document, one)
    elif kind in _SPECS:
        yield _in_object(path, document, kind)
    elif kind.lower() in _KINDS:
        text = f"kind: expected {_KINDS[kind.lower()]}, not {kind!r}"
        raise unreadable(path, text, document.at("kind"))


def _in_list(path: str, document: Document, kind: str) -> Iterator[PodSpec]:
    items = document.value.get("items")
    if items is None:
        return
    if not isinstance(items, list):
        raise unreadable(path, "items: expected a list", document.at("items"))
    for item in document.items():
        yield from _in_document(path, item, kind)


def _in_object(path: str, document: Document, kind: str) -> PodSpec:
    metadata, spec = document.value.get("metadata"), document.value
    metadata = metadata if isinstance(metadata, dict) else {}
    name = str(metadata.get("name") or metadata.get("generateName") or "")

    def wrong(place: str, text: str) -> ConfigError:
        named = f"{kind} {name}".strip()
        return unreadable(path, f"{named}: {place}: {text}", document.at(place))

    place = ""
    for field in _SPECS[kind]:
        place, spec = f"{place}.{field}".lstrip("."), spec.get(field)
        if not isinstance(spec, dict):
            raise wrong(place, "expected a mapping")
    try:
        decode_struct(struct_of("Pod", ""), {"spec": spec})
    except WrongTypeError as error:
        raise wrong(place, str(error).removeprefix("json: ")) from error
    claims = (kind == "StatefulSet" and document.value["spec"].get(_CLAIMS)) or []
    if not isinstance(claims, list):
        raise wrong(f"spec.{_CLAIMS}", "expected a list")
    return PodSpec(kind, name, place, spec, len(claims))
