"""Error responses of the API server: one exception, with the real server's texts.

Parts of the server raise `Refusal`, made by one of the functions below; `vk.devcluster.app` answers
with its `Refusal.status`. Pure; nothing here knows HTTP but the numbers.

Note: the texts matter. kubectl prints them, and clients distinguish cases by ``reason`` and
``details``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vk.devcluster.kinds import Kind
from vk.devcluster.validation import Cause

__all__ = [
    "BODY_LIMIT",
    "MODIFIED",
    "Cause",
    "Refusal",
    "already_exists",
    "bad_request",
    "bad_version",
    "conflict",
    "expired",
    "forbidden",
    "insufficient_storage",
    "internal",
    "invalid",
    "method_not_allowed",
    "no_such_resource",
    "not_acceptable",
    "not_found",
    "too_large",
    "too_large_version",
    "unauthorized",
    "unsupported_media_type",
]

BODY_LIMIT = 3 * 1024 * 1024
"""Bytes of a request's body, as the real server has it."""

MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


class Refusal(Exception):
    """The answer to a request that is refused: an HTTP status with a Status object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        continue_: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.continue_ = continue_

    def status(self) -> dict[str, Any]:
        """Return the Status object."""
        answer: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_} if self.continue_ else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            answer["reason"] = self.reason
        if self.details is not None:
            answer["details"] = dict(self.details)
        answer["code"] = self.code
        return answer


def _details(kind: Kind, name: str, **rest: Any) -> dict[str, Any]:
    details = {"name": name, "group": kind.group, "kind": kind.plural, **rest}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> Refusal:
    """Return 404: there is no object of that name."""
    message = f'{kind.resource_name} "{name}" not found'
    return Refusal(404, "NotFound", message, details=_details(kind, name))


def no_such_resource() -> Refusal:
    """Return 404: the server has no such path."""
    message = "the server could not find the requested resource"
    return Refusal(404, "NotFound", message, details={})


def already_exists(kind: Kind, name: str) -> Refusal:
    """Return 409: an object of that name exists."""
    message = f'{kind.resource_name} "{name}" already exists'
    return Refusal(409, "AlreadyExists", message, details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str = MODIFIED, *, resource: str = "") -> Refusal:
    """Return 409: the object is not in the expected state; ``resource`` names it otherwise."""
    message = f'Operation cannot be fulfilled on {resource or kind.resource_name} "{name}": {why}'
    details = _details(kind, name)
    if resource:
        details["kind"] = resource.partition(".")[0]
    return Refusal(409, "Conflict", message, details=details)


def invalid(kind: Kind, name: str, causes: Sequence[Cause]) -> Refusal:
    """Return 422: the object breaks the rules of its kind."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = _details(kind, name)
    details["kind"] = kind.name
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    message = f'{kind.qualified_name} "{name}" is invalid: {listed}'
    return Refusal(422, "Invalid", message, details=details)


def bad_request(message: str) -> Refusal:
    """Return 400: the request cannot be read."""
    return Refusal(400, "BadRequest", message)


def forbidden(
    kind: Kind, name: str, why: str, *, causes: Sequence[Mapping[str, str]] = ()
) -> Refusal:
    """Return 403: the request is not allowed."""
    named = f'{kind.resource_name} "{name}"' if name else kind.resource_name
    details = _details(kind, name, causes=[dict(cause) for cause in causes])
    return Refusal(403, "Forbidden", f"{named} is forbidden: {why}", details=details)


def unauthorized() -> Refusal:
    """Return 401: the credentials are not valid."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def bad_version(text: str) -> Refusal:
    """Return 500, as the real server: the resource version is not an integer."""
    why = f'Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax'
    return Refusal(500, "", f"resourceVersion: {why}")


def expired(message: str, *, continue_: str = "") -> Refusal:
    """Return 410: the resource version or continue token is older than the kept history."""
    return Refusal(410, "Expired", message, continue_=continue_)


def too_large_version(wanted: int, current: int) -> Refusal:
    """Return 504: the resource version lies in the future."""
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return Refusal(504, "Timeout", message, details=details)


def insufficient_storage(limit: int) -> Refusal:
    """Return 507: the server holds as many objects as it may."""
    message = f"the embedded API server holds at most {limit} objects"
    return Refusal(507, "InsufficientStorage", message)


def too_large() -> Refusal:
    """Return 413: the body is longer than the limit."""
    message = f"Request entity too large: limit is {BODY_LIMIT}"
    return Refusal(413, "RequestEntityTooLarge", message, details={})


def method_not_allowed() -> Refusal:
    """Return 405: the resource does not support that verb."""
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, details={})


def not_acceptable(accepted: str) -> Refusal:
    """Return 406: the client accepts no form that the server writes."""
    message = f"only the following media types are accepted: {accepted}"
    return Refusal(406, "NotAcceptable", message)


def unsupported_media_type(accepted: str) -> Refusal:
    """Return 415: the body's form is unknown."""
    message = (
        "the body of the request was in an unknown format - accepted media types include: "
        f"{accepted}"
    )
    return Refusal(415, "UnsupportedMediaType", message, details={})


def internal(error: str) -> Refusal:
    """Return 500: the server failed; its log has the traceback."""
    message = f"Internal error occurred: {error}"
    return Refusal(500, "InternalError", message, details={"causes": [{"message": error}]})
