"""The errors of the emulated service: status, code and message.

Codes and statuses are those of the service where documented. Messages contain no values of
parameters, which may be secrets.
"""

from __future__ import annotations

__all__ = ["EciApiError", "invalid", "missing", "not_found", "wrong_state"]


class EciApiError(Exception):
    """An error answer of the service."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def invalid(name: str, expected: str, kind: str = "") -> EciApiError:
    """Return the error of a parameter; ``kind`` is the suffix of ``InvalidParameter.``."""
    code = f"InvalidParameter.{kind}" if kind else "InvalidParameter"
    return EciApiError(400, code, f"The specified parameter {name} is not valid: {expected}.")


def missing(name: str) -> EciApiError:
    """Return the error of a missing parameter."""
    text = f"The input parameter {name} that is mandatory for processing this request is missing."
    return EciApiError(400, "MissingParameter", text)


def not_found(name: str) -> EciApiError:
    """Return the error of an object that does not exist."""
    return EciApiError(404, "InvalidParameter.NotFound", f"The specified {name} does not exist.")


def wrong_state(status: str) -> EciApiError:
    """Return the error of a change that the status does not permit."""
    text = f"The current status {status} of the container group does not support this operation."
    return EciApiError(400, "IncorrectStatus", text)
