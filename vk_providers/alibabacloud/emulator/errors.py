"""How the emulated service says no: a status, a code, a sentence. The front turns it into JSON.

Codes and statuses are those of the service where its documentation names them. No text repeats a
parameter's value, since values may be secrets.
"""

from __future__ import annotations

__all__ = ["EciApiError", "invalid", "missing", "not_found", "wrong_state"]


class EciApiError(Exception):
    """The service refuses a call."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


def invalid(name: str, expected: str, kind: str = "") -> EciApiError:
    """Return the refusal of a parameter; ``kind`` is what follows ``InvalidParameter.``."""
    code = f"InvalidParameter.{kind}" if kind else "InvalidParameter"
    return EciApiError(400, code, f"The specified parameter {name} is not valid: {expected}.")


def missing(name: str) -> EciApiError:
    """Return the refusal of a call that lacks a parameter."""
    text = f"The input parameter {name} that is mandatory for processing this request is missing."
    return EciApiError(400, "MissingParameter", text)


def not_found(name: str) -> EciApiError:
    """Return the refusal of a call whose object does not exist."""
    return EciApiError(404, "InvalidParameter.NotFound", f"The specified {name} does not exist.")


def wrong_state(status: str) -> EciApiError:
    """Return the refusal of a change that this status does not allow."""
    text = f"The current status {status} of the container group does not support this operation."
    return EciApiError(400, "IncorrectStatus", text)
