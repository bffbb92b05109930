"""The default of imagePullPolicy, which the name of an image decides. Pure."""

from __future__ import annotations

import re

__all__ = ["pull_policy"]

_TAG = re.compile(r":([\w][\w.-]{0,127})$", re.ASCII)


def pull_policy(image: str) -> str:
    """Return Always for the tag ``latest`` or neither tag nor digest, else IfNotPresent."""
    if "@" in image or not image:
        return "IfNotPresent"
    tag = _TAG.search(image.rpartition("/")[2])
    return "Always" if tag is None or tag[1] == "latest" else "IfNotPresent"
