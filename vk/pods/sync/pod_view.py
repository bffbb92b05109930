"""What providers see of the node's pods, as ``context.pods``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from vk.models.pod import Pod
from vk.pods.sync.records import Records

__all__ = ["PodView"]


@attrs.define(eq=False)
class PodView(Mapping[str, Pod]):
    """The node's pods by UID, live and read-only: what providers see as ``context.pods``."""

    _records: Records

    def __getitem__(self, uid: str) -> Pod:
        record = self._records.get(uid)
        if record is None or record.pod is None:
            raise KeyError(uid)
        return Pod(record.pod)

    def __iter__(self) -> Iterator[str]:
        return (record.key.uid for record in self._records if record.pod is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)
