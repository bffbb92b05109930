"""The line discipline of a terminal: echo, lines, backspace, Ctrl-C and Ctrl-D. Pure."""

from __future__ import annotations

import attrs

__all__ = ["Typed", "cooked", "type_in"]

_BACKSPACE = b"\x7f\x08"
_INTERRUPT = b"\x03"
_END = b"\x04"
_ERASE = b"\b \b"


@attrs.frozen
class Typed:
    """The result of key strokes."""

    line: bytes
    """The incomplete line."""
    echo: bytes = b""
    input: bytes = b""
    """Finished lines."""
    interrupted: bool = False
    ended: bool = False


def type_in(line: bytes, keys: bytes) -> Typed:
    """Apply key strokes to the incomplete line."""
    echo = read = b""
    for code in keys:
        key = bytes([code])
        if key == _INTERRUPT:
            return Typed(b"", echo + b"^C", read, interrupted=True)
        if key == _END:
            if not line:
                return Typed(b"", echo, read, ended=True)
            read, line = read + line, b""
        elif key in b"\r\n":
            read, line = read + line + b"\n", b""
            echo += b"\r\n"
        elif key in _BACKSPACE:
            echo += _ERASE if line else b""
            line = line[:-1]
        else:
            line += key
            echo += key
    return Typed(line, echo, read)


def cooked(content: bytes) -> bytes:
    """Return output with CR LF, as on a terminal."""
    return content.replace(b"\n", b"\r\n")
