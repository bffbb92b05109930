"""Creates the container group of a pod: at most one billed group, whatever fails.

With the same ClientToken the service answers a repeated create with the first group. A new attempt,
with a new token, starts only after the service reported that it created nothing, or after a group
in status ScheduleFailed; its number is stored on the pod before the request is sent.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import attrs

import vk
from vk_providers.alibabacloud.attempts import Attempts
from vk_providers.alibabacloud.config import EciConfig, Profile
from vk_providers.alibabacloud.create_parameters.annotations import PREFIX
from vk_providers.alibabacloud.create_parameters.group import GroupParameters, group_parameters
from vk_providers.alibabacloud.errors import (
    ConflictingTokenError,
    NoStockError,
    QuotaError,
    RequestOutcomeUnknownError,
    UnchangedError,
)
from vk_providers.alibabacloud.failure_backoff import FailureBackoff
from vk_providers.alibabacloud.groups import (
    SCHEDULE_FAILED,
    ContainerGroup,
    just_created,
    primary_group,
)
from vk_providers.alibabacloud.inventory import Inventory
from vk_providers.alibabacloud.lookup import GroupLookup
from vk_providers.alibabacloud.profiles import ProfileFile, profile_for
from vk_providers.alibabacloud.tags import LABEL, label_tags
from vk_providers.alibabacloud.update_parameters import image_update

__all__ = ["Creation"]

log = logging.getLogger(__name__)

_FIRST_PAUSE = 30.0
_LONGEST_PAUSE = 600.0


@attrs.define(eq=False, kw_only=True)
class Creation:
    """Creates and updates groups."""

    config: EciConfig
    context: vk.ProviderContext
    inventory: Inventory
    lookup: GroupLookup
    _attempts: Attempts = attrs.field(init=False)
    _profiles: ProfileFile = attrs.field(init=False)
    _breaker: FailureBackoff = attrs.field(factory=FailureBackoff, init=False)

    def __attrs_post_init__(self) -> None:
        self._attempts = Attempts(self.context)
        self._profiles = ProfileFile(self.config.profiles_file)
        self._profiles.read()

    async def create(self, pod: vk.Pod) -> ContainerGroup:
        """Return the pod's group; create it where there is none."""
        known = self.inventory.best(pod.key.uid)
        if known is not None and known.status != SCHEDULE_FAILED:
            return known
        wait = self._breaker.wait(pod, _clock())
        if wait:
            text = "groups of this pod's owner keep failing: the next create is delayed"
            raise vk.TemporaryError(text, retry_after=wait)
        unplaced = primary_group(self.inventory.of(pod.key.uid))
        used = unplaced.attempt if unplaced is not None else None
        planned = self._plan(pod, 0)  # an invalid pod uses up no attempt
        attempt = await self._attempts.number(pod, used=used)
        group = await self._send(pod, self._plan(pod, attempt), attempt)
        self.inventory.remember(group)
        if planned.notes:
            text = f"ECI does not support, and ignores: {', '.join(planned.notes)}"
            self.context.emit(pod.key, "Normal", "FieldsIgnored", text, id=f"notes-{pod.key.uid}")
        return group

    async def update(self, pod: vk.Pod) -> None:
        """Replace the images of a running group."""
        group = self._living(pod)
        parameters = self._plan(pod, group.attempt).parameters
        query = image_update(parameters, group)
        if query is None:
            return
        with suppress(UnchangedError):  # an earlier call succeeded and its answer was lost
            await self.inventory.client.call("UpdateContainerGroup", query)

    async def tag(self, pod: vk.Pod) -> None:
        """Set the tags of a group from the pod's labels; its containers keep running."""
        id = self._living(pod).id
        group = (await self.inventory.look([id])).found.get(id)
        if group is None:
            raise vk.TemporaryError(f"the group {id} is not listed yet, so its tags are unknown")
        present = {name: value for name, value in group.tags.items() if name.startswith(LABEL)}
        wanted = label_tags(pod.labels, others=len(group.tags) - len(present))
        resource = {"ResourceType": "ContainerGroup", "ResourceId": [id]}
        call = self.inventory.client.call
        if outdated := sorted(present.keys() - wanted.keys()):  # first, to make room
            await call("UntagResources", {**resource, "TagKey": outdated})
        if missing := [
            {"Key": name, "Value": value}
            for name, value in wanted.items()
            if present.get(name) != value
        ]:
            await call("TagResources", {**resource, "Tag": missing})

    def fails_fast(self, pod: vk.Pod) -> bool:
        """Return whether the pod fails at once where no capacity is available (fail-fast)."""
        annotations = {**self._profile(pod).annotations, **pod.annotations}
        strategy = annotations.get(f"{PREFIX}eci-fail-strategy")
        return strategy == "fail-fast" or (
            annotations.get(f"{PREFIX}pod-fail-on-create-err") == "true"
        )

    def failed(self, pod: vk.Pod, group: str) -> None:
        """Record the failure of a group."""
        self._breaker.failed(pod, group, _clock())

    def forget(self, uid: str) -> None:
        """Drop the state of a pod's attempts."""
        self._attempts.forget(uid)

    def _living(self, pod: vk.Pod) -> ContainerGroup:
        group = self.inventory.best(pod.key.uid)
        if group is None or not group.alive:
            raise vk.NotFoundError(f"pod {pod.key} has no container group")
        return group

    def _profile(self, pod: vk.Pod) -> Profile:
        return profile_for(pod, (*self._profiles.read(), *self.config.profiles))

    def _plan(self, pod: vk.Pod, attempt: int) -> GroupParameters:
        return group_parameters(
            pod,
            config=self.config,
            profile=self._profile(pod),
            identity=self.inventory.identity,
            attempt=attempt,
        )

    async def _send(self, pod: vk.Pod, planned: GroupParameters, attempt: int) -> ContainerGroup:
        uid = pod.key.uid
        self.lookup.sent(uid)  # until the outcome is known, also when this is cancelled
        try:
            answer = await self.inventory.client.call("CreateContainerGroup", planned.parameters)
        except ConflictingTokenError:
            return await self._adopt(pod)
        except (NoStockError, QuotaError) as error:
            self.lookup.settled(uid)
            self._attempts.spend(uid)
            raise self._no_place(pod, error, attempt) from None
        except vk.ProviderError:
            self.lookup.settled(uid)  # rejected by the service, so nothing was created
            raise
        id = answer.get("containergroupid")
        if not isinstance(id, str) or not id:
            raise RequestOutcomeUnknownError(
                "CreateContainerGroup: the answer contains no group id"
            )
        self.lookup.settled(uid)
        return just_created(id, pod.key, attempt)

    async def _adopt(self, pod: vk.Pod) -> ContainerGroup:
        """Return the group that was created with this token before.

        The service's refusal proves that there is one, so no other attempt may start, however long
        lists lack it.
        """
        uid = pod.key.uid
        await self.inventory.find(uid)
        found = self.inventory.best(uid)
        if found is None or found.status == SCHEDULE_FAILED:
            text = "CreateContainerGroup: the ClientToken has a group that is not listed yet"
            raise RequestOutcomeUnknownError(text)
        self.lookup.settled(uid)
        log.info("group adopted", extra={"pod": str(pod.key), "uid": uid, "group": found.id})
        return found

    def _no_place(
        self, pod: vk.Pod, error: NoStockError | QuotaError, attempt: int
    ) -> vk.ProviderError:
        if self.fails_fast(pod):
            return vk.PermanentError(error, reason="ContainerInstanceScheduleFailed")
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(attempt, 8))
        return vk.TemporaryError(error, retry_after=max(pause, error.retry_after or 0.0))


def _clock() -> float:
    return asyncio.get_running_loop().time()
