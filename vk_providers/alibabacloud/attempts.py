"""How often a pod's group was tried: the number that its ClientToken is made with.

A number is used for one group only. Attempt 0 needs no note; a later one is written on the pod
before the service hears of it, so that whoever comes next goes on with the same token and not with
a group of its own.
"""

from __future__ import annotations

import attrs

import vk
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX

__all__ = ["ANNOTATION", "Attempts"]

ANNOTATION = f"{PREFIX}eci-create-attempt"


@attrs.define(eq=False)
class Attempts:
    """The attempts of each pod, by UID."""

    context: vk.ProviderContext
    _numbers: dict[str, int] = attrs.field(factory=dict, init=False)
    _spent: set[str] = attrs.field(factory=set, init=False)

    async def number(self, pod: vk.Pod, *, used: int | None = None) -> int:
        """Return the number for the create that comes now; it is durable when this returns.

        ``used`` is the number of a group that exists and will never run.
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
        """Note that the service has refused the present attempt and made nothing."""
        self._spent.add(uid)

    def forget(self, uid: str) -> None:
        """Drop what is known of a pod."""
        self._numbers.pop(uid, None)
        self._spent.discard(uid)
