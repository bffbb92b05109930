"""The patch types of the Kubernetes API: merge, JSON and strategic merge.

In: parsed JSON, the patch and, for a strategic merge, the `Schema` of the kind. Out: a new value,
which may share parts with the inputs; those are never changed. Used by the embedded API server and
wherever a patch is read. Server-side apply, the fourth type, is in
`vk.devcluster.apply.server_side`: it needs to know who owns which field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk.devcluster.patch.error import PatchError
from vk.devcluster.patch.json_patch import json_patch
from vk.devcluster.patch.strategic_merge import strategic_merge_patch

__all__ = ["PatchError", "json_patch", "merge_patch", "strategic_merge_patch"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Merge by RFC 7386: maps by key, null removes one, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged
