"""The documents of a manifest file, each with the lines that its fields stand on. Pure.

In: text, YAML of any number of documents or JSON. Out: `Document` values, plain JSON as the API
server takes it. `manifests` reads files with it. YAML means what kubectl takes it for, where Python
differs: a date is a text, ``10:30`` is no number in base 60, a key given twice is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs
import yaml

__all__ = ["Document", "DocumentError", "check_aliases", "parse_documents"]

_TAG = "tag:yaml.org,2002:"
_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")
_INTEGER = re.compile(r"[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]+|0|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)
_FEW_VALUES, _MANY_VALUES = 400_000, 4_000_000
_MOST_COPIED, _LEAST_COPIED = 0.99, 0.1  # share of values from aliases, of few and of many values


class DocumentError(ValueError):
    """The text cannot be read: the reason in one line, and ``line``, 0 where it is unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # the C parser is optional
    """YAML 1.1 without timestamps and base 60."""


_DROPPED = {_TAG + name for name in ("timestamp", "int", "float", "value")}
_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] not in _DROPPED]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_TAG + "int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver(_TAG + "float", _FLOAT, list("-+0123456789."))


@attrs.frozen
class Document:
    """One value; ``node`` is where it came from, None where only the value is known."""

    value: Any
    node: yaml.Node | None = attrs.field(default=None, repr=False)

    @property
    def line(self) -> int:
        """The line on which it begins, from 1."""
        return _line(self.node) if self.node is not None else 1

    def at(self, path: str) -> int:
        """Return the line of the field ``path`` (``spec.containers[0].image``).

        Where it is missing, the line of the nearest field above it that is there.
        """
        node, line = self.node, self.line
        for index, key in _STEP.findall(path):
            step = _child(node, int(index) if index else key)
            if step is None:
                return line
            line, node = step
        return line

    def items(self) -> list[Document]:
        """Return the entries of the list in field ``items``."""
        step = _child(self.node, "items")
        nodes = step[1].value if step and isinstance(step[1], yaml.SequenceNode) else []
        values = self.value["items"]
        return [
            Document(value, nodes[index] if index < len(nodes) else self.node)
            for index, value in enumerate(values)
        ]


def parse_documents(text: str) -> list[Document]:
    """Return the documents of ``text``, those that hold nothing left out. Raises DocumentError."""
    try:
        return _parse_json(text) if text.lstrip().startswith(("{", "[")) else _parse_yaml(text)
    except RecursionError:
        raise DocumentError("nested too deeply") from None


def _parse_json(text: str) -> list[Document]:
    try:
        value = json.loads(text)
    except ValueError:
        return _parse_yaml(text)  # YAML may begin like this too, and its errors are clearer
    try:
        # But for tabs and some escapes JSON is YAML: read again to know the lines.
        plain = _ESCAPE.sub(lambda match: "_" * len(match[0]), text.replace("\t", " "))
        node = yaml.compose(plain, Loader=_Loader)
    except yaml.YAMLError:
        node = None
    return [Document(value, node)]


def _parse_yaml(text: str) -> list[Document]:
    try:
        return list(_documents(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or error.context or "cannot be read"
        line = min(mark.line, text.rstrip().count("\n")) + 1 if mark else 0  # it may be the end
        raise DocumentError(f"not YAML: {problem}", line) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(f"not YAML: {error.reason}", line) from error


def _documents(text: str) -> Iterator[Document]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            for inner in check_aliases(node):
                _check_keys(inner)
            value = _plain(loader.construct_document(node), _line(node))
            if value is not None:
                yield Document(value, node)
    finally:
        loader.dispose()


def check_aliases(node: yaml.Node) -> list[yaml.Node]:
    """Return the nodes of a document; refuse aliases that stand for too many values.

    Values are counted as they are written, each node once, before any is built: 350 bytes can stand
    for 9 ** 9 values. The limits are those of go-yaml, which kubectl and API servers read with.
    Raises DocumentError, also for an anchor whose value contains itself.
    """
    sizes: dict[yaml.Node, int] = {}
    total = _size(node, sizes)
    copied, steps = total - len(sizes), _MANY_VALUES - _FEW_VALUES
    beyond = min(max(total - _FEW_VALUES, 0), steps)
    allowed = _MOST_COPIED - (_MOST_COPIED - _LEAST_COPIED) * beyond / steps
    if copied > 100 and total > 1000 and copied > total * allowed:
        raise DocumentError("document contains excessive aliasing", _line(node))
    return list(sizes)


def _size(node: yaml.Node, sizes: dict[yaml.Node, int]) -> int:
    """Return how many values a node stands for; 0 in ``sizes``: its own are being counted."""
    known = sizes.get(node)
    if known is None:
        sizes[node] = 0
        parts = [] if isinstance(node, yaml.ScalarNode) else node.value
        pairs = isinstance(node, yaml.MappingNode)
        flat = [part for pair in parts for part in pair] if pairs else parts
        sizes[node] = known = 1 + sum([_size(part, sizes) for part in flat])
    elif known == 0:
        raise DocumentError("an anchor's value contains itself", _line(node))
    return known


def _check_keys(node: yaml.Node) -> None:
    """Make every key of a mapping a text, as it is written; refuse one that is given twice."""
    seen: set[str] = set()
    for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
        if isinstance(key, yaml.ScalarNode) and key.tag != _TAG + "merge":
            if key.value in seen:
                raise DocumentError(f"key {key.value!r} is given twice", _line(key))
            seen.add(key.value)
            key.tag = _TAG + "str"


def _plain(value: Any, line: int) -> Any:
    """Return ``value``, and refuse what JSON does not have, such as YAML's sets and bytes."""
    if isinstance(value, dict):
        return {key: _plain(item, line) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, line) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise DocumentError(f"a {type(value).__name__} has no place in a Kubernetes object", line)


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    """Return line and node of an entry, None where there is none."""
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return _line(node.value[step]), node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(step):
                return _line(key), value
    return None


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
