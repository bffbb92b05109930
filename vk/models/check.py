"""One result of the checks that `vk doctor` runs and shows, a line each."""

from __future__ import annotations

import attrs

__all__ = ["Check"]


@attrs.frozen
class Check:
    """The result of checking one thing that the node needs to work.

    It must not contain secrets: it is printed as it is.
    """

    name: str
    """A short name of what was checked: ``credentials``, ``quota``."""
    ok: bool
    text: str
    """The finding, with its figures: ``8 of 20 vCPU are free``."""
    advice: str = ""
    """What the operator should do; empty where nothing needs to be done."""
