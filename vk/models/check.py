"""What one look at the surroundings of a node found: what `vk doctor` shows, a line each."""

from __future__ import annotations

import attrs

__all__ = ["Check"]


@attrs.frozen
class Check:
    """One thing that must be right for the node to work, and whether it is.

    Nothing in it may be a secret: it is printed as it is.
    """

    name: str
    """What was looked at, in a few words: ``credentials``, ``quota``."""
    ok: bool
    text: str
    """What was found, with its figures: ``8 of 20 vCPU are free``."""
    advice: str = ""
    """What to do about it; empty where nothing needs to be done."""
