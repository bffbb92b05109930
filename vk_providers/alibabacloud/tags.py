"""The tags of a container group: pod, node and cluster, and the pod's labels. Pure.

A group belongs to a pod by its tags alone, never by its name: ``a-b`` + ``c`` and ``a`` + ``b-c``
would have the same name. A group without the whole set of tags is never touched.

A label ``team=a`` becomes the tag ``label/team=a``, so that bills can be split by it. The prefix
keeps labels, which users choose, apart from the tags that identify a group and from tags that RAM
policies refer to. A group has at most 20 tags with keys of up to 64 characters; labels that do not
fit are left out, in the order of their names, so that the same labels always give the same tags.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

import attrs

import vk

__all__ = [
    "ATTEMPT",
    "CLUSTER",
    "LABEL",
    "MOST_TAGS",
    "NODE",
    "UID",
    "NodeIdentity",
    "group_name",
    "key_of",
    "label_tags",
]

CLUSTER = "vk-cluster-uid"
NODE = "vk-node"
NAMESPACE = "vk-namespace"
POD = "vk-pod"
POD_REST = "vk-pod-rest"
UID = "vk-pod-uid"
ATTEMPT = "vk-attempt"
NAME = "vk-cluster-name"

_LONGEST = 128
_BANNED = ("aliyun", "acs:")
_GUARD = "/"
"""Prefix of values that the service would reject; no Kubernetes name begins with it."""
_OTHER = re.compile(r"[^a-z0-9]+", re.ASCII)


@attrs.frozen(kw_only=True)
class NodeIdentity:
    """A node of a cluster. ``cluster_name`` is for display only."""

    cluster_uid: str
    node_name: str
    cluster_name: str = ""

    def tags(self, key: vk.PodKey, attempt: int) -> dict[str, str]:
        """Return all tags of a group for the pod ``key``."""
        name, rest = key.name[: _LONGEST - 1], key.name[_LONGEST - 1 :]
        tags = {
            **self.owner_tags(),
            NAMESPACE: _guarded(key.namespace),
            POD: _guarded(name),
            UID: key.uid,
            ATTEMPT: str(attempt),
        }
        if rest:
            tags[POD_REST] = _guarded(rest)
        if self.cluster_name:
            tags[NAME] = _guarded(self.cluster_name[: _LONGEST - 1])
        return tags

    def owner_tags(self) -> dict[str, str]:
        """Return the tags of all groups of this node, the filter of lists."""
        return {CLUSTER: self.cluster_uid, NODE: _guarded(self.node_name[: _LONGEST - 1])}

    def owns(self, tags: Mapping[str, str]) -> bool:
        """Return whether a group with ``tags`` belongs to this node."""
        return all(tags.get(name) == value for name, value in self.owner_tags().items())

    def token(self, uid: str, attempt: int) -> str:
        """Return the ClientToken of an attempt, the same in every process."""
        text = f"{self.cluster_uid}/{uid}/{attempt}"
        return f"vk-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


def key_of(tags: Mapping[str, str]) -> vk.PodKey | None:
    """Return the pod of a group with ``tags``; None where a tag is missing."""
    namespace, name, uid = (tags.get(tag, "") for tag in (NAMESPACE, POD, UID))
    if not (namespace and name and uid):
        return None
    rest = tags.get(POD_REST, "")
    return vk.PodKey(_bare(namespace), _bare(name) + _bare(rest), uid)


def group_name(key: vk.PodKey, *, stable: bool) -> str:
    """Return the group name for the console: 2 to 128 lower-case letters, digits and ``-``.

    ``stable``: the same for each pod of that name; fixed IP addresses depend on it.
    """
    tail = "" if stable else f"-{_OTHER.sub('', key.uid.lower())[:8]}"
    name = _OTHER.sub("-", f"{key.namespace}-{key.name}".lower()).strip("-")
    return name[: _LONGEST - len(tail)].rstrip("-") + tail


def _guarded(value: str) -> str:
    return _GUARD + value if value.startswith(_BANNED) else value


def _bare(value: str) -> str:
    return value.removeprefix(_GUARD)


LABEL = "label/"
MOST_TAGS = 20
_LONGEST_KEY = 64
_BANNED_VALUES = ("aliyun", "acs:")


def label_tags(labels: Mapping[str, str], *, others: int) -> dict[str, str]:
    """Return the tags for ``labels`` on a group with ``others`` other tags."""
    fitting = {
        f"{LABEL}{name}": labels[name]
        for name in sorted(labels)
        if len(LABEL) + len(name) <= _LONGEST_KEY and not labels[name].startswith(_BANNED_VALUES)
    }
    return dict(list(fitting.items())[: max(0, MOST_TAGS - others)])
