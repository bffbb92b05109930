"""The labels of a pod as tags of its group, so that a bill can be split by them. Pure.

A label ``team=a`` is the tag ``label/team=a``: the prefix keeps labels, which are for whoever makes
pods to choose, apart from tags that say whose a group is and from those that rights are bound to.

A group has 20 tags, with keys of 64 characters; so what does not fit has no tag. The rest comes in
the order of names, so that the same labels always make the same tags.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["LABEL", "MOST_TAGS", "label_tags"]

LABEL = "label/"
MOST_TAGS = 20
_LONGEST_KEY = 64
_BANNED = ("aliyun", "acs:")


def label_tags(labels: Mapping[str, str], *, others: int) -> dict[str, str]:
    """Return the tags for ``labels`` on a group that has so many other tags."""
    fitting = {
        f"{LABEL}{name}": labels[name]
        for name in sorted(labels)
        if len(LABEL) + len(name) <= _LONGEST_KEY and not labels[name].startswith(_BANNED)
    }
    return dict(list(fitting.items())[: max(0, MOST_TAGS - others)])
