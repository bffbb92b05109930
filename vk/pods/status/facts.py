"""What a pod's status follows from, beside the API object: values that `vk.pods.sync` gives."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from vk.models.api_object import container_statuses_of, containers_of
from vk.models.pod import Json
from vk.models.status import Condition, PodStatus

__all__ = ["AllocatedResources", "StatusFacts", "TerminalFailure"]


@attrs.frozen
class TerminalFailure:
    """Why a pod is Failed for good.

    ``ran``: its containers may have run. The pod is Failed once they have ended; one whose outcome
    nothing can report any more counts as ended with exit code 137.
    """

    reason: str
    message: str
    ran: bool = False


@attrs.frozen
class AllocatedResources:
    """The image and the resources of each container, by its name, as last applied."""

    images: Mapping[str, str] = attrs.field(factory=dict)
    resources: Mapping[str, Json] = attrs.field(factory=dict)

    @classmethod
    def of(cls, pod: Json) -> AllocatedResources:
        """Return what the containers of the pod ask for."""
        several = list(containers_of(pod))
        return cls(
            {raw["name"]: raw.get("image") or "" for raw in several},
            {raw["name"]: raw.get("resources") or {} for raw in several},
        )

    @classmethod
    def shown(cls, pod: Json) -> AllocatedResources:
        """Return what the pod's status shows that they have, else what they ask for."""
        asked, several = cls.of(pod), list(container_statuses_of(pod))
        images = {one["name"]: one["image"] for one in several if one.get("image")}
        resources = {one["name"]: one["resources"] for one in several if one.get("resources")}
        return cls({**asked.images, **images}, {**asked.resources, **resources})


@attrs.frozen(kw_only=True)
class StatusFacts:
    """What is known of one pod. ``status`` is the last one that the provider reported."""

    status: PodStatus | None = None
    failure: TerminalFailure | None = None
    waiting: tuple[str, str] | None = None
    """Reason and message of a pod that is not at the provider yet."""
    gone: bool = False
    """The provider holds nothing any more, and the pod is being deleted."""
    present: bool = False
    """The provider has the pod."""
    start_time: str = ""
    """When the provider accepted the pod, chosen once; empty: not chosen yet."""
    observed_generation: int = 0
    last_update: Condition | None = None
    """The outcome of the last update: refused (status True), or not; None: not known."""
    allocated: AllocatedResources = attrs.field(factory=AllocatedResources)
