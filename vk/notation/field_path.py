"""The downward API's field paths and the text form of a map.

In: ``metadata.labels['app']`` or ``spec.nodeName``. Out: path and key apart. Pure notation; what a
path means for a pod is in `vk.pods.resolve.downward`.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["format_map", "split_subscript"]

_ESCAPES = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}


def split_subscript(path: str) -> tuple[str, str | None]:
    """Split ``a.b['key']`` into ``("a.b", "key")``; the key is None where there is no subscript."""
    if not path.endswith("']"):
        return path, None
    base, opener, key = path[:-2].partition("['")
    return (base, key) if base and opener else (path, None)


def format_map(values: Mapping[str, str]) -> str:
    """Return labels or annotations as the kubelet writes them: sorted ``key="value"`` lines."""
    return "\n".join(f"{key}={_quote(value)}" for key, value in sorted(values.items()))


def _quote(text: str) -> str:
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    """Return one character as Go's %q writes it."""
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
