"""What the error channel of exec, attach and port-forward says at the end, and resize messages.

In: an exit code or a failure. Out: the bytes for the error channel: since version 4 a Status
document, before that a text, and nothing at all for success. Exec and attach write them, over SPDY
and over WebSocket alike.

Surprising: clients read the exit code as one unsigned byte and fail on any other number without
showing it, so such a code is sent as a failure whose message names it. A backend that cannot tell
the code is a failure too: nothing here turns it into success.
"""

from __future__ import annotations

from typing import Any

import attrs
import orjson

__all__ = ["Resizes", "exit_outcome", "failure_outcome"]

_LONGEST_SIZE = 1024


def exit_outcome(version: int, exit_code: int | None) -> bytes:
    """Return what protocol ``version`` (1 to 5) says of a command that has ended.

    None: the backend cannot say how, which is told as a failure.
    """
    if exit_code is None:
        return failure_outcome(version, "the command has ended, but its exit code is unknown")
    if exit_code == 0:
        return orjson.dumps({"metadata": {}, "status": "Success"}) if version >= 4 else b""
    if not 0 < exit_code < 256:
        text = f"command terminated with exit code {exit_code}, which is not one of 0 to 255"
        return failure_outcome(version, text)
    cause = {"reason": "ExitCode", "message": str(exit_code)}
    text = f"command terminated with non-zero exit code: {exit_code}"
    return _failure(version, text, {"reason": "NonZeroExitCode", "details": {"causes": [cause]}})


def failure_outcome(
    version: int, message: str, *, reason: str = "InternalError", code: int = 500
) -> bytes:
    """Return what protocol ``version`` says of a command that could not be run or followed."""
    return _failure(version, message, {"reason": reason, "code": code})


def _failure(version: int, message: str, rest: dict[str, Any]) -> bytes:
    text = message.encode(errors="replace")  # a provider's text may hold any name of a file
    if version < 4:
        return text
    document = {"metadata": {}, "status": "Failure", "message": text.decode(), **rest}
    return orjson.dumps(document)


@attrs.define(eq=False)
class Resizes:
    """Reads terminal sizes out of the resize channel, in pieces of any size.

    What is no size ends the reading, not the command: the terminal then keeps its size.
    """

    _rest: bytes = attrs.field(default=b"", init=False)
    _broken: bool = attrs.field(default=False, init=False)

    def feed(self, data: bytes) -> tuple[int, int] | None:
        """Return the newest (width, height) in characters, or None where there is no new one."""
        if self._broken:
            return None
        done, closed, self._rest = (self._rest + data).rpartition(b"}")
        self._broken = len(self._rest) > _LONGEST_SIZE
        if not closed:
            return None
        size = _size(done.rpartition(b"}")[2] + b"}")
        self._broken |= size is None
        return size if size is not None and all(size) else None


def _size(text: bytes) -> tuple[int, int] | None:
    """Return what one JSON object says; None: no size. A size it does not name is 0, as in Go."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(document, dict):
        return None
    fields = {key.lower(): value for key, value in document.items()}
    width, height = fields.get("width", 0), fields.get("height", 0)
    fits = all(type(value) is int and 0 <= value < 1 << 16 for value in (width, height))
    return (width, height) if fits else None
