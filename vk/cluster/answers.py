"""From an answer of the API server to JSON or to the error that it means. Pure.

The error's class says what happened. Its text names the request and the server's reason; a 400 or
422 is described by its causes: the fields and what is wrong with them, without the values that the
server quotes, since these may be secret.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from vk.errors import (
    ClusterError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidObjectError,
    ObjectNotFoundError,
    ThrottledError,
    UnavailableError,
)

__all__ = ["answer", "failure", "is_failure", "retry_after"]

# How the server writes a field's error: the type, the value as JSON, what is wrong with it.
_WITH_VALUE = re.compile(
    r'(?P<type>[A-Z][a-z ]+): (?:"(?:\\.|[^"\\])*"|-?[0-9.]+|null|true|false): (?P<detail>.+)'
)
_WITHOUT_VALUE = ("Required value", "Forbidden")

_CLASSES: dict[int, type[ClusterError]] = {
    401: ForbiddenError,
    403: ForbiddenError,
    404: ObjectNotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidObjectError,
    429: ThrottledError,
}
_LONGEST_MESSAGE = 300


def answer(request: str, status: int, body: bytes, wait: float | None = None) -> dict[str, Any]:
    """Return the object in ``body``, or raise what the answer means.

    Raises UnavailableError for a success whose body is no object: a write may have taken effect.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if status >= 300:
        raise failure(request, status, parsed, wait)
    if not isinstance(parsed, dict):
        raise UnavailableError(f"{request}: answer {status} holds no JSON object", status=status)
    if is_failure(parsed):
        raise failure(request, 0, parsed, wait)
    return parsed


def is_failure(parsed: object) -> bool:
    """Return whether ``parsed`` is a Status object that reports a failure."""
    return (
        isinstance(parsed, dict)
        and parsed.get("kind") == "Status"
        and parsed.get("status") != "Success"
    )


def failure(request: str, status: int, parsed: object, wait: float | None = None) -> ClusterError:
    """Return the error for a Status object (or anything else) that came with HTTP ``status``.

    ``status`` 0 takes the code from the object. ``reason`` of the error is the object's, except
    that a more telling cause wins: NamespaceTerminating instead of Forbidden.
    """
    document = parsed if isinstance(parsed, dict) and parsed.get("kind") == "Status" else {}
    code = document.get("code")
    status = status or (code if isinstance(code, int) else 0) or 500
    causes = _causes(document)
    reason = str(document.get("reason") or "")
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        reason = "NamespaceTerminating"
    text = f"{request}: {status}{' ' + reason if reason else ''}"
    detail = _detail(status, document, causes)
    return _class(status, document, causes)(
        f"{text}: {detail}" if detail else text, status=status, reason=reason, retry_after=wait
    )


def _class(
    status: int, document: dict[str, Any], causes: list[dict[str, Any]]
) -> type[ClusterError]:
    # A server behind us (restored, or one of several): our resource version will never do there.
    ahead = any(cause.get("reason") == "ResourceVersionTooLarge" for cause in causes)
    if ahead or str(document.get("message")).startswith("Too large resource version"):
        return ExpiredError
    if document.get("reason") in ("Expired", "Gone"):
        return ExpiredError
    if status == 404 and document.get("reason") != "NotFound":
        return ClusterError  # of something on the way: it proves nothing about the object
    return _CLASSES.get(status) or (UnavailableError if status >= 500 else ClusterError)


def _causes(document: dict[str, Any]) -> list[dict[str, Any]]:
    details = document.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    return [cause for cause in causes or () if isinstance(cause, dict)]


def _detail(status: int, document: dict[str, Any], causes: list[dict[str, Any]]) -> str:
    if status in (400, 422):
        return ", ".join(filter(None, map(_cause, causes)))[:_LONGEST_MESSAGE]
    message = " ".join(str(document.get("message") or "").split())
    return message[:_LONGEST_MESSAGE]


def _cause(cause: dict[str, Any]) -> str:
    """Return field and fault without the value: ``spec.x: Invalid value: must be positive``."""
    field, message = str(cause.get("field") or ""), str(cause.get("message") or "").split("\n")[0]
    if not field:
        return ""
    if found := _WITH_VALUE.fullmatch(message):
        return f"{field}: {found['type']}: {found['detail']}"
    return f"{field}: {message}" if message.startswith(_WITHOUT_VALUE) else field


def retry_after(header: str | None) -> float | None:
    """Read a Retry-After header in seconds; None for none, and for a date."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None
