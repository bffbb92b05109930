"""Header blocks of SPDY/3.1: names and values, deflated with a dictionary that the draft defines.

In: the header names and values of a stream, or the compressed bytes of a frame. Out: the other one.
`vk.streaming.spdy.session` has one `Deflater` and one `Inflater` for all of a session.

Every block of a connection continues the compression of the block before it, so also the blocks of
unused frames must be inflated, in order, and one bad block ends the connection. The size of a block
is limited while it inflates: 16 KB on the wire can become 16 MB.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from struct import Struct

import attrs

from vk.streaming.spdy.frames import SpdyError

__all__ = ["DICTIONARY", "MAX_BLOCK", "Deflater", "Inflater"]

MAX_BLOCK = 1 << 14
"""Bytes that one block may inflate to; a Kubernetes client's are below 100."""

_WORD = Struct(">I")
_WORDS = (
    "options head post put delete trace accept accept-charset accept-encoding accept-language "
    "accept-ranges age allow authorization cache-control connection content-base content-encoding "
    "content-language content-length content-location content-md5 content-range content-type date "
    "etag expect expires from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since last-modified location max-forwards pragma proxy-authenticate "
    "proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade "
    "user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url "
    "public set-cookie keep-alive origin"
)
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request"
    "401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 "
    "Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,"
    "application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age="
    "gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)


def _text(text: str) -> bytes:
    raw = text.encode("latin-1")
    return _WORD.pack(len(raw)) + raw


DICTIONARY = b"".join(_text(word.replace("_", " ")) for word in _WORDS.split()) + _TAIL.encode()
"""What both sides' zlib knows before the first byte (SPDY draft 3, 2.6.10.1)."""


@attrs.define(eq=False)
class Deflater:
    """Writes the header blocks of one session, in the order of its calls."""

    # A window of 2 KiB holds the dictionary and all that is worth finding again: 9 KB of memory a
    # connection where zlib's default takes 256.
    _zlib: zlib._Compress = attrs.field(
        factory=lambda: zlib.compressobj(
            level=zlib.Z_BEST_SPEED, wbits=11, memLevel=1, zdict=DICTIONARY
        ),
        init=False,
        repr=False,
    )

    def block(self, headers: Mapping[str, str]) -> bytes:
        """Return the next block. Names become lower case; texts must be latin-1.

        Several values of one name are one text, with a NUL between two.
        """
        parts = [_WORD.pack(len(headers))]
        for name, value in headers.items():
            parts += (_text(name.lower()), _text(value))
        return self._zlib.compress(b"".join(parts)) + self._zlib.flush(zlib.Z_SYNC_FLUSH)


@attrs.define(eq=False)
class Inflater:
    """Reads the header blocks of one session, in the order in which they came."""

    _zlib: zlib._Decompress = attrs.field(
        factory=lambda: zlib.decompressobj(zdict=DICTIONARY), init=False, repr=False
    )

    def headers(self, block: bytes) -> dict[str, str]:
        """Return the headers of the next block, with lower-case names.

        Raises SpdyError when it cannot be inflated, inflates to more than `MAX_BLOCK` bytes, or is
        no list of unlike lower-case names; after that no further block can be read.
        """
        try:
            plain = self._zlib.decompress(block, MAX_BLOCK + 1)
        except zlib.error as error:
            raise SpdyError(f"header block cannot be inflated: {error}") from None
        if len(plain) > MAX_BLOCK:
            raise SpdyError(f"header block inflates to more than {MAX_BLOCK} bytes")
        if self._zlib.eof:
            raise SpdyError("header block ends the compression of its session")
        return _parse(plain)


def _parse(plain: bytes) -> dict[str, str]:
    count, position = _length(plain, 0)
    headers: dict[str, str] = {}
    for _ in range(count):
        name, position = _field(plain, position)
        value, position = _field(plain, position)
        if not name or name != name.lower() or name in headers:
            raise SpdyError(f"header name {name[:40]!r} is empty, repeated or not in lower case")
        headers[name] = value
    if position != len(plain):
        raise SpdyError(f"header block has {len(plain) - position} bytes too many")
    return headers


def _field(plain: bytes, position: int) -> tuple[str, int]:
    size, position = _length(plain, position)
    end = position + size
    if end > len(plain):
        raise SpdyError(f"header field of {size} bytes goes beyond its block")
    return plain[position:end].decode("latin-1"), end


def _length(plain: bytes, position: int) -> tuple[int, int]:
    end = position + _WORD.size
    if end > len(plain):
        raise SpdyError("header block ends within a length")
    return int.from_bytes(plain[position:end]), end
