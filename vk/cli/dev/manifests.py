"""The objects of manifest files, checked as the embedded API server will check them.

In: paths, ``-`` for standard input. Out: `Manifest` values in the order of the files. `vk dev`
reads all of them before it starts anything, so that a mistake is one line with file, line and field
and costs nothing. Every error is a ConfigError.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from vk.devcluster.documents import Document, DocumentError, parse_documents
from vk.devcluster.kinds import KINDS, Kind, kind_of
from vk.devcluster.validation import WrongTypeError, check_create, for_create, unknown_fields
from vk.errors import ConfigError

__all__ = ["Manifest", "read_manifests"]

Json = dict[str, Any]

_QUOTED = re.compile(r'"([^"]+)"')
_GO_FIELD = re.compile(r"Go struct field (?:\w+\.)?(\S+) of type")


@attrs.frozen(kw_only=True)
class Manifest:
    """One object to submit."""

    kind: Kind
    body: Json = attrs.field(repr=False)
    place: str
    """``FILE:LINE``, for messages about it."""

    @property
    def name(self) -> str:
        """Its name; empty where the API server makes one."""
        return str(self.body["metadata"].get("name") or "")

    @property
    def namespace(self) -> str:
        """Its namespace; empty for objects without."""
        return str(self.body["metadata"].get("namespace") or "")


def read_manifests(paths: Sequence[str]) -> list[Manifest]:
    """Return the objects of all files. Raises ConfigError at the first mistake."""
    return [manifest for path in paths for manifest in _read(path)]


def _read(path: str) -> Iterator[Manifest]:
    try:
        documents = parse_documents(_text(path))
    except DocumentError as error:
        raise _error(path, error.line, str(error)) from error
    if not documents:
        raise _error(path, 0, "holds no object")
    for document in documents:
        yield from _objects(path, document)


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise _error(path, 0, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _error(path, 0, "expected UTF-8 text") from error


def _objects(path: str, document: Document) -> Iterator[Manifest]:
    """Yield the object, or each one of a list."""
    value = document.value
    if not isinstance(value, dict):
        word = "a list" if isinstance(value, list) else "a plain value"
        raise _error(path, document.line, f"expected a Kubernetes object, not {word}")
    for field, example in (("apiVersion", "v1"), ("kind", "Pod")):
        if not isinstance(value.get(field), str) or not value[field]:
            raise _error(path, document.at(field), f"{field}: expected a text such as {example}")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in document.items():
            yield from _objects(path, item)
    else:
        yield _manifest(path, document)


def _manifest(path: str, document: Document) -> Manifest:
    value = document.value
    kind = kind_of(value["apiVersion"], value["kind"])
    if kind is None or not kind.stored:
        known = ", ".join(dict.fromkeys(kind.name for kind in KINDS if kind.stored))
        found = f"{value['apiVersion']} {value['kind']}"
        text = f"kind: the embedded cluster has no {found}; it has {known}"
        raise _error(path, document.at("kind"), text)
    body = _named(path, document, kind)
    _check(path, document, kind, body)
    return Manifest(kind=kind, body=body, place=_place(path, document.line))


def _named(path: str, document: Document, kind: Kind) -> Json:
    """Return the body with its namespace filled in."""
    metadata = document.value.get("metadata")
    if not isinstance(metadata, dict):
        raise _error(path, document.at("metadata"), "metadata: expected a mapping with a name")
    if not (metadata.get("name") or metadata.get("generateName")):
        raise _error(path, document.at("metadata.name"), "metadata.name: Required value")
    if kind.namespaced and not metadata.get("namespace"):
        metadata = {**metadata, "namespace": "default"}
    return {**document.value, "metadata": metadata}


def _check(path: str, document: Document, kind: Kind, body: Json) -> None:
    """Refuse what the API server would refuse, with its text."""
    for text in unknown_fields(kind, body):
        raise _error(path, _line_of(document, _QUOTED.search(text)), text)
    try:
        made = for_create(kind, body)
    except WrongTypeError as error:
        line = _line_of_type(document, str(error))
        raise _error(path, line, str(error).removeprefix("json: ")) from error
    causes = check_create(kind, made)
    if causes:
        more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
        text = f"{causes[0].field}: {causes[0].message}{more}"
        raise _error(path, document.at(causes[0].field), text)


def _line_of(document: Document, match: re.Match[str] | None) -> int:
    return document.at(match[1]) if match else document.line


def _line_of_type(document: Document, text: str) -> int:
    """Return the line of the field that a Go error names, which leaves indexes out."""
    match = _GO_FIELD.search(text)
    if match is None:
        return document.line
    wants_text = text.endswith("of type string")
    paths = list(_paths(document.value, match[1].split(".")))
    for path, value in paths:
        if isinstance(value, str) != wants_text and value is not None:
            return document.at(path)
    return document.at(paths[0][0]) if paths else document.line


def _paths(value: Any, names: Sequence[str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field that ``names`` leads to, through every entry of the lists on the way."""
    if isinstance(value, list) and names:
        for index, item in enumerate(value):
            yield from _paths(item, names, f"{path}[{index}]")
    elif not names:
        yield path, value
    elif isinstance(value, dict) and names[0] in value:
        yield from _paths(value[names[0]], names[1:], f"{path}.{names[0]}".lstrip("."))


def _place(path: str, line: int) -> str:
    name = "standard input" if path == "-" else path
    return f"{name}:{line}" if line else name


def _error(path: str, line: int, text: str) -> ConfigError:
    return ConfigError(f"--apply: {_place(path, line)}: {' '.join(text.split())}")
