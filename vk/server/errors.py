"""Errors of requests: from any exception to the HTTP answer with a Status object.

In: `StatusError` raised by a handler, or any other exception that a handler raises. Out: the
answer, made by the middleware of `vk.server.app` alone. Its body is a Status object, since clients
of exec and port-forward read one; for logs it is plain text, since there the API server shows it as
it is.

Only the text of exceptions that this project or a provider raises on purpose is sent. The text of
any other exception may hold a secret: it is logged, and the client gets a constant.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from vk.errors import (
    InvalidInputError,
    NotFoundError,
    ProviderError,
    TemporaryError,
    UnsupportedError,
)
from vk.streaming.negotiation import NegotiationError

__all__ = ["StatusError", "status_error_of"]

log = logging.getLogger(__name__)

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestEntityTooLarge",
    429: "TooManyRequests",
    500: "InternalError",
    501: "NotImplemented",
    503: "ServiceUnavailable",
}
_LONGEST = 1024


class StatusError(Exception):
    """Ends a request with ``code``. ``reason`` is a StatusReason, by default that of the code.

    ``retry_after`` (seconds) and ``headers`` go into the answer's headers.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str = "",
        retry_after: float | None = None,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:_LONGEST]
        self.reason = reason or _REASONS.get(code, "")
        self.retry_after = retry_after
        self.headers = tuple(headers)

    def status(self) -> dict[str, Any]:
        """Return the Status object."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }

    def response(self, *, text: bool = False) -> web.Response:
        """Return the answer; with ``text`` the message alone is its body."""
        body = (
            self.message.encode(errors="replace") + b"\n" if text else orjson.dumps(self.status())
        )
        kind = "text/plain; charset=utf-8" if text else "application/json"
        answer = web.Response(status=self.code, body=body, headers={"Content-Type": kind})
        for name, value in self.headers:
            answer.headers.add(name, value)
        if self.retry_after is not None:
            answer.headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return answer


def status_error_of(error: Exception, what: str) -> StatusError:
    """Return the error to answer with; ``what`` names the request in the log.

    An unexpected exception is logged with its traceback.
    """
    match error:
        case StatusError():
            return error
        case NegotiationError():
            return StatusError(error.status, str(error), headers=error.headers)
        case web.HTTPException():
            return StatusError(error.status, error.reason)
        case NotFoundError():  # kubectl drops the text of a 404, and of a 503 too
            return StatusError(400, _text(error, "not found"))
        case UnsupportedError():
            return StatusError(501, _text(error, "the provider cannot do this"))
        case TemporaryError():
            retry_after = 1.0 if error.retry_after is None else error.retry_after
            text = _text(error, "the provider cannot do this now")
            return StatusError(500, text, retry_after=retry_after)
        case InvalidInputError():
            return StatusError(400, _text(error, "the provider refused the request"))
        case ProviderError():
            return StatusError(500, _text(error, "the provider failed"))
        case TimeoutError():
            log.warning("request timed out", extra={"request": what})
            return StatusError(500, f"{what}: the provider timed out")
        case _:
            log.error("request failed", exc_info=error, extra={"request": what})
            return StatusError(500, f"{what}: internal error; the node's log has the cause")


def _text(error: Exception, otherwise: str) -> str:
    return " ".join(str(error).split()) or otherwise
