"""What is wrong with a pod, all of it at once: each entry has a path, and what was expected."""

from __future__ import annotations

import attrs

import vk

__all__ = ["FieldErrors"]

_SHOWN = 20


@attrs.define
class FieldErrors:
    """Collects while a request is planned."""

    found: list[str] = attrs.field(factory=list, init=False)

    def add(self, path: str, text: str) -> None:
        """Note that the field at ``path`` is wrong; ``text`` never quotes a value."""
        self.found.append(f"{path}: {text}")

    def at_most(self, path: str, count: int, most: int, unit: str) -> None:
        """Note when there are more than the service takes."""
        if count > most:
            self.add(path, f"{count} {unit}, and ECI takes {most} at most")

    def finish(self) -> None:
        """Raise InvalidInputError with everything that was noted."""
        if self.found:
            more = len(self.found) - _SHOWN
            rest = [f"and {more} more"] if more > 0 else []
            raise vk.InvalidInputError(
                "; ".join([*self.found[:_SHOWN], *rest]), reason="UnsupportedPod"
            )
