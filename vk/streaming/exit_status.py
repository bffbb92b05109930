"""The Status on the error stream of exec, attach and port-forward: how the command ended.

In: an exit code or a failure. Out: the bytes for the error stream: since version 4 of the protocol
a Status object, before that a text, and nothing at all for success. The same over SPDY and over
WebSocket.

Clients read the exit code as one unsigned byte and fail on any other number without showing it, so
such a code is sent as a failure whose message names it. An unknown exit code is a failure too:
nothing here turns it into success.
"""

from __future__ import annotations

from typing import Any

import orjson

__all__ = ["exit_status", "failure_status"]


def exit_status(version: int, exit_code: int | None) -> bytes:
    """Return what protocol ``version`` (1 to 5) sends for a command that has ended.

    None: the exit code is unknown, which is sent as a failure.
    """
    if exit_code is None:
        return failure_status(version, "the command has ended, but its exit code is unknown")
    if exit_code == 0:
        return orjson.dumps({"metadata": {}, "status": "Success"}) if version >= 4 else b""
    if not 0 < exit_code < 256:
        text = f"command terminated with exit code {exit_code}, which is not one of 0 to 255"
        return failure_status(version, text)
    cause = {"reason": "ExitCode", "message": str(exit_code)}
    text = f"command terminated with non-zero exit code: {exit_code}"
    return _failure(version, text, {"reason": "NonZeroExitCode", "details": {"causes": [cause]}})


def failure_status(
    version: int, message: str, *, reason: str = "InternalError", code: int = 500
) -> bytes:
    """Return what protocol ``version`` sends for a command that could not be run or followed."""
    return _failure(version, message, {"reason": reason, "code": code})


def _failure(version: int, message: str, rest: dict[str, Any]) -> bytes:
    text = message.encode(errors="replace")  # a provider's text may hold any name of a file
    if version < 4:
        return text
    document = {"metadata": {}, "status": "Failure", "message": text.decode(), **rest}
    return orjson.dumps(document)
