"""The number of the create attempt of a pod, which its ClientToken is derived from.

Each number is used for one group only. Attempt 0 is implied; a later number is stored in an
annotation of the pod before the request is sent, so that another replica repeats the same
ClientToken and does not create a second group.
"""

from __future__ import annotations

import attrs

import vk
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX

__all__ = ["ANNOTATION", "Attempts"]

ANNOTATION = f"{PREFIX}eci-create-attempt"


@attrs.define(eq=False)
class Attempts:
    """The attempt numbers of the pods, by UID."""

    context: vk.ProviderContext
    _numbers: dict[str, int] = attrs.field(factory=dict, init=False)
    _spent: set[str] = attrs.field(factory=set, init=False)

    async def number(self, pod: vk.Pod, *, used: int | None = None) -> int:
        """Return the number for the next create; it is stored on the pod before this returns.

        ``used`` is the number of an existing group that will never run.
        """
        uid = pod.key.uid
        noted = pod.annotations.get(ANNOTATION, "")
        durable = int(noted) if noted.isascii() and noted.isdigit() else 0
        number = max(durable, self._numbers.get(uid, 0))
        if uid in self._spent:
            number += 1
        if used is not None:
            number = max(number, used + 1)
        if number > durable and number != self._numbers.get(uid):
            await self.context.annotate(pod.key, {ANNOTATION: str(number)})
        self._numbers[uid] = number
        self._spent.discard(uid)
        return number

    def spend(self, uid: str) -> None:
        """Record that the service rejected the current attempt and created nothing."""
        self._spent.add(uid)

    def forget(self, uid: str) -> None:
        """Drop the state of a pod."""
        self._numbers.pop(uid, None)
        self._spent.discard(uid)
