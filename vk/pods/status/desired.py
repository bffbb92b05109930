"""The status of an API pod, computed from what the provider reports. Pure.

`desired` returns the fields that the core owns. It compares with the API server's object, since a
status only moves forward: a phase never goes back, a restart count never decreases, and the last
known state of a container stays until the provider reports another. A final phase is written once
no container runs any more, and then only ends of containers follow. `vk.pods.status.patch` turns
the result into a patch.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs

from vk.models.api_object import spec_of, status_of
from vk.models.keys import PodKey
from vk.models.pod import Json
from vk.models.status import (
    ContainerState,
    ContainerStatus,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)
from vk.models.time import format_time
from vk.pods.status.conditions import UPDATE_REFUSED, conditions
from vk.pods.status.facts import StatusFacts
from vk.pods.status.phase import FINAL, RANK, has_ended, is_ready, is_sidecar, phase_of

__all__ = ["LOST", "desired"]

_NO_KEY = PodKey("", "", "")

LOST = Terminated(137, "ContainerStatusUnknown", "the outcome of the container is not known")


def desired(
    pod: Json, facts: StatusFacts, now: datetime, *, host_ips: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the status fields that the core owns; the value None clears a field.

    ``host_ips`` are the node's addresses: the pod's host where the provider does not name one.
    """
    old = status_of(pod)
    spec = spec_of(pod)
    deleting = bool(pod["metadata"].get("deletionTimestamp"))
    if (old.get("phase") or "") in FINAL:  # for good, and the API server does not hold that
        return _late_ends(old, spec, facts)
    containers = _statuses(spec.get("containers"), old.get("containerStatuses"), facts, spec)
    inits = _statuses(
        spec.get("initContainers"), old.get("initContainerStatuses"), facts, spec, init=True
    )
    status = _with_containers(facts.status or PodStatus(_NO_KEY), tuple(containers), tuple(inits))
    ended = has_ended(spec, status, deleting=deleting) or not facts.present
    phase, reason, message = _phase(spec, old, status, facts, deleting=deleting, ended=ended)
    result: dict[str, Any] = {"phase": phase, "reason": reason or None, "message": message or None}
    if facts.failure is None or facts.failure.ran:
        for field, group, found in (
            ("containerStatuses", "containers", containers),
            ("initContainerStatuses", "initContainers", inits),
            ("ephemeralContainerStatuses", "ephemeralContainers", _ephemeral(spec, old, facts)),
        ):
            if found or group == "containers":
                result[field] = _render_all(found, spec.get(group), phase, facts)
        _mark_completed(result.get("initContainerStatuses"), spec)
    if facts.present and not old.get("startTime"):
        result["startTime"] = facts.start_time or format_time(now)
    _addresses(result, "podIP", status.pod_ips)
    _addresses(result, "hostIP", status.host_ips or (host_ips if facts.present else ()))
    if facts.observed_generation and pod["metadata"].get("generation"):
        result["observedGeneration"] = facts.observed_generation
    result["conditions"] = conditions(pod, spec, status, phase, facts, now)
    return result


def _with_containers(
    reported: PodStatus,
    containers: tuple[ContainerStatus, ...],
    init_containers: tuple[ContainerStatus, ...],
) -> PodStatus:
    if containers == reported.containers and init_containers == reported.init_containers:
        return reported  # nearly always; then no copy is needed
    return attrs.evolve(reported, containers=containers, init_containers=init_containers)


def _phase(
    spec: Json,
    old: Json,
    status: PodStatus,
    facts: StatusFacts,
    *,
    deleting: bool,
    ended: bool,
) -> tuple[str, str, str]:
    if facts.failure is not None and (ended or not facts.failure.ran):
        return "Failed", facts.failure.reason, facts.failure.message
    before = old.get("phase") or "Pending"
    if facts.waiting is not None:
        return before, "", ""
    phase = phase_of(spec, status, deleting=deleting)
    if facts.gone and phase not in FINAL:
        phase = "Failed"
    if phase in FINAL and not ended:
        phase = "Running"  # a sidecar runs
    if RANK.get(phase, 0) < RANK.get(before, 0):
        phase = before
    return phase, status.reason, status.message


def _statuses(
    specs: Sequence[Json] | None,
    olds: Sequence[Json] | None,
    facts: StatusFacts,
    spec: Json,
    *,
    init: bool = False,
) -> list[ContainerStatus]:
    reported: tuple[ContainerStatus, ...] = ()
    if facts.status is not None:
        reported = facts.status.init_containers if init else facts.status.containers
    by_name = {status.name: status for status in reported}
    before = {one["name"]: one for one in olds or ()}
    policy = spec.get("restartPolicy") or "Always"
    return [
        _one(raw, by_name.get(raw["name"]), before.get(raw["name"]), facts, policy)
        for raw in specs or ()
    ]


def _ephemeral(spec: Json, old: Json, facts: StatusFacts) -> list[ContainerStatus]:
    """Return the ephemeral containers: as reported, or ended where the provider refuses them.

    `kubectl debug` waits for as long as a container has neither started nor ended.
    """
    known = PodStatus.from_json(
        _NO_KEY, {"containerStatuses": old.get("ephemeralContainerStatuses") or ()}
    )
    ended = {one.name: one for one in known.containers if isinstance(one.state, Terminated)}
    if facts.status is not None:
        ended |= {one.name: one for one in facts.status.ephemeral_containers}
    refused = facts.last_update
    if refused is not None and refused.type == UPDATE_REFUSED and refused.status == "True":
        state = Terminated(1, "EphemeralContainerRefused", refused.message)
        for raw in spec.get("ephemeralContainers") or ():
            ended.setdefault(raw["name"], ContainerStatus(name=raw["name"], state=state))
    return list(ended.values())


def _one(
    raw: Json,
    reported: ContainerStatus | None,
    before: Json | None,
    facts: StatusFacts,
    policy: str,
) -> ContainerStatus:
    """Return one container's status: as reported, else as before, else waiting; never backwards."""
    known = PodStatus.from_json(_NO_KEY, {"containerStatuses": [before]}) if before else None
    old = known.containers[0] if known else None
    if facts.waiting is not None and (old is None or isinstance(old.state, Waiting)):
        return ContainerStatus(name=raw["name"], state=Waiting(*facts.waiting))
    status = reported or old or ContainerStatus(name=raw["name"], state=Waiting())
    if old is not None and reported is not None:
        status = _forward(old, reported, raw.get("restartPolicy") or policy)
    lost = facts.gone or (facts.failure is not None and facts.failure.ran and not facts.present)
    if lost and not isinstance(status.state, Terminated):
        started = status.state.started_at if isinstance(status.state, Running) else None
        status = attrs.evolve(status, state=attrs.evolve(LOST, started_at=started), ready=False)
    return status


def _late_ends(old: Json, spec: Json, facts: StatusFacts) -> dict[str, Any]:
    """Return the lists of a finished pod in which containers have ended since."""
    result: dict[str, Any] = {}
    for field, group in (
        ("containerStatuses", "containers"),
        ("initContainerStatuses", "initContainers"),
    ):
        rows, init = old.get(field) or (), group != "containers"
        found = {one.name: one for one in _statuses(spec.get(group), rows, facts, spec, init=init)}
        late = [
            found[row["name"]]
            for row in rows
            if "running" in row["state"] and isinstance(found[row["name"]].state, Terminated)
        ]
        if late:
            ended = {
                one["name"]: one for one in _render_all(late, spec.get(group), old["phase"], facts)
            }
            result[field] = [ended.get(row["name"], row) for row in rows]
    return result


def _forward(old: ContainerStatus, new: ContainerStatus, policy: str) -> ContainerStatus:
    new = _at_api_precision(new)
    if isinstance(old.state, Terminated) and not isinstance(new.state, Terminated):
        restarts = policy == "Always" or (policy == "OnFailure" and old.state.exit_code != 0)
        if not restarts:  # the API server refuses it too
            return old
    last = new.last_state or old.last_state
    if new.last_state is None and isinstance(old.state, Terminated) and new.state != old.state:
        last = old.state
    count = new.restart_count
    if count is None:
        count = (old.restart_count or 0) + _restarted(old, new.state)
    return attrs.evolve(new, last_state=last, restart_count=max(count, old.restart_count or 0))


def _at_api_precision(status: ContainerStatus) -> ContainerStatus:
    """Return a status with times in whole seconds, as the API has them."""
    state, last = _whole_seconds(status.state), status.last_state
    cut = None if last is None else _whole_seconds(last)
    if state is status.state and cut is last:
        return status
    return attrs.evolve(status, state=state, last_state=cut)


S = TypeVar("S", bound=ContainerState)


def _whole_seconds(state: S) -> S:
    exact = {
        name: time.replace(microsecond=0)
        for name in ("started_at", "finished_at")
        if (time := getattr(state, name, None)) is not None and time.microsecond
    }
    return attrs.evolve(state, **exact) if exact else state


def _restarted(old: ContainerStatus, state: ContainerState) -> int:
    if not isinstance(state, Running):
        return 0
    match old.state:
        case Terminated():
            return 1
        case Running(started_at):
            known = started_at is not None and state.started_at is not None
            return int(known and state.started_at != started_at)
        case _:
            return int(old.last_state is not None)


def _render_all(
    statuses: Sequence[ContainerStatus],
    specs: Sequence[Json] | None,
    phase: str,
    facts: StatusFacts,
) -> list[dict[str, Any]]:
    asked = {raw["name"]: raw.get("image") or "" for raw in specs or ()}
    images = {**asked, **facts.allocated.images}
    return [
        _render(status, images.get(status.name, ""), phase)
        | _resources(facts.allocated.resources.get(status.name))
        for status in statuses
    ]


def _mark_completed(rendered: Sequence[dict[str, Any]] | None, spec: Json) -> None:
    """Mark an init container that completed as ready, for good."""
    for raw, one in zip(spec.get("initContainers") or (), rendered or (), strict=True):
        ended = one["state"].get("terminated")
        if ended is not None and not is_sidecar(raw):
            one["ready"] = ended["exitCode"] == 0


def _resources(found: Json | None) -> dict[str, Any]:
    """Return the container's resources; none where the provider has not accepted it."""
    if found is None:
        return {}
    given = {name: dict(found[name]) for name in ("limits", "requests") if found.get(name)}
    requests = given.get("requests")
    return {"resources": given, **({"allocatedResources": requests} if requests else {})}


def _render(status: ContainerStatus, image: str, phase: str) -> dict[str, Any]:
    running = isinstance(status.state, Running)
    result: dict[str, Any] = {
        "name": status.name,
        "state": _render_state(status.state),
        "lastState": _render_state(status.last_state) if status.last_state else {},
        "ready": is_ready(status) and phase not in FINAL,
        "started": running and status.started is not False,
        "restartCount": status.restart_count or 0,
        "image": image if status.image is None else status.image,
        "imageID": status.image_id,
    }
    if status.container_id:
        result["containerID"] = status.container_id
    return result


def _render_state(state: ContainerState) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": _present(reason=reason, message=message)}
        case Running(started_at):
            return {"running": {"startedAt": _time(started_at)}}
        case Terminated():
            ended = _present(
                reason=state.reason,
                message=state.message,
            )
            ended["exitCode"] = state.exit_code
            ended["startedAt"] = _time(state.started_at)
            ended["finishedAt"] = _time(state.finished_at)
            return {"terminated": ended}


def _present(**fields: str) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)


def _addresses(result: dict[str, Any], field: str, ips: Sequence[str]) -> None:
    if ips:  # no addresses reported: keep the known ones
        result[field] = ips[0]
        result[field + "s"] = [{"ip": ip} for ip in ips]
