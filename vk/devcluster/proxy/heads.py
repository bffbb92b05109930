"""The head of an HTTP/1.1 request and of its answer, as bytes. Pure.

An upgraded connection is passed on byte for byte, so it is dialled without an HTTP client, and its
two heads are written and read here.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

__all__ = ["HOP_BY_HOP", "AnswerHead", "Headers", "parse_head", "request_head"]

Headers = Iterable[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are about one connection and are never passed on, in lower case."""


@attrs.frozen
class AnswerHead:
    """Status and headers of an answer."""

    status: int
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return the first value of a header, empty where there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), "")


def request_head(method: str, target: str, headers: Headers) -> bytes:
    """Return the head of a request; ``target`` is its path and query, quoted already."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape")


def parse_head(raw: bytes) -> AnswerHead:
    """Read the head of an answer, up to its empty line. Raises ValueError, one clear line."""
    first, *lines = raw.decode("utf-8", "surrogateescape").rstrip("\r\n").split("\r\n")
    version, _, rest = first.partition(" ")
    code = rest.partition(" ")[0]
    if not (version.startswith("HTTP/1.") and code.isascii() and code.isdigit() and len(code) == 3):
        raise ValueError(f"malformed HTTP response {first[:60]!r}")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise ValueError(f"malformed HTTP header {line[:60]!r}")
        headers.append((name, value.strip()))
    return AnswerHead(int(code), tuple(headers))
