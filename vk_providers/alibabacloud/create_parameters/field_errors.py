"""The validation errors of a pod, collected: each has a field path and what was expected."""

from __future__ import annotations

import attrs

import vk

__all__ = ["FieldErrors"]

_SHOWN = 20


@attrs.define
class FieldErrors:
    """Validation errors, as Kubernetes' field.ErrorList."""

    found: list[str] = attrs.field(factory=list, init=False)

    def add(self, path: str, text: str) -> None:
        """Add an error of the field at ``path``; ``text`` never contains a value."""
        self.found.append(f"{path}: {text}")

    def at_most(self, path: str, count: int, most: int, unit: str) -> None:
        """Add an error where ``count`` exceeds the service's limit."""
        if count > most:
            self.add(path, f"{count} {unit}, and ECI accepts {most} at most")

    def finish(self) -> None:
        """Raise InvalidInputError with all errors, if there are any."""
        if self.found:
            more = len(self.found) - _SHOWN
            rest = [f"and {more} more"] if more > 0 else []
            raise vk.InvalidInputError(
                "; ".join([*self.found[:_SHOWN], *rest]), reason="UnsupportedPod"
            )
