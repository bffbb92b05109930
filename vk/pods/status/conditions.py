"""The conditions of a pod, as the kubelet of 1.36 writes them, and three that only vk has.

In: the API object, the status as it will be, the facts. Out: conditions for a strategic merge
patch: what no longer holds is deleted by ``$patch``. Only types that vk owns are named; all others
are left to their writers. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from vk.models.api_object import status_of
from vk.models.pod import Json
from vk.models.status import Condition, ContainerStatus, PodStatus, Running, Terminated
from vk.models.time import format_time
from vk.pods.daemonsets import REASON as DAEMON_SET_REFUSED
from vk.pods.status.facts import StatusFacts
from vk.pods.status.phase import FINAL, is_ready, is_sidecar, sidecar_names

__all__ = ["RESIZE_PENDING", "UPDATE_ACCEPTED", "UPDATE_REFUSED", "conditions"]

RESIZE_PENDING = "PodResizePending"
UPDATE_REFUSED = "UpdateRefused"
"""The provider cannot apply a change of the pod; the message names the fields."""

UPDATE_ACCEPTED = Condition(type=UPDATE_REFUSED, status="False")
"""The outcome of an update that the provider accepted."""

_Rows = Mapping[str, Json]


def conditions(
    pod: Json, spec: Json, status: PodStatus, phase: str, facts: StatusFacts, now: datetime
) -> list[dict[str, Any]]:
    """Return the conditions that the pod should have; ``status`` has all its containers."""
    if facts.failure is not None and not facts.failure.ran:
        return []
    old = {one["type"]: one for one in status_of(pod).get("conditions") or ()}
    wanted = _standard(pod, spec, status, phase, facts)
    wanted |= {one.type: one for one in status.conditions}
    wanted |= {one.type: one for one in _vk_conditions(facts)}
    generation = facts.observed_generation if pod["metadata"].get("generation") else 0
    result = [
        _render(one, old.get(one.type), now, generation)
        for one in wanted.values()
        if one.type != "PodScheduled" or old.get("PodScheduled") is None
    ]
    return result + [{"$patch": "delete", "type": name} for name in _outdated(facts, wanted, old)]


def _standard(
    pod: Json, spec: Json, status: PodStatus, phase: str, facts: StatusFacts
) -> dict[str, Condition]:
    placed = facts.present and phase not in FINAL and _has_network(status, phase)
    reason, message = _unready(spec, status, phase, facts)
    incomplete = _incomplete(spec, status, phase)
    initial = "PodCompleted" if phase == "Succeeded" else ""
    gates = "" if reason else _closed_gates(pod, spec)
    found = (
        Condition(type="PodScheduled", status="True"),
        Condition(type="PodReadyToStartContainers", status=str(placed)),
        Condition(
            type="Initialized",
            status=str(not incomplete),
            reason="ContainersNotInitialized" if incomplete else initial,
            message=incomplete,
        ),
        Condition(type="ContainersReady", status=str(not reason), reason=reason, message=message),
        Condition(
            type="Ready",
            status=str(not reason and not gates),
            reason="ReadinessGatesNotReady" if gates else reason,
            message=gates or message,
        ),
    )
    return {one.type: one for one in found}


def _has_network(status: PodStatus, phase: str) -> bool:
    """Return whether containers can start: the pod has an address, or a container started."""
    known = (*status.init_containers, *status.containers)
    ran = any(isinstance(one.state, Running | Terminated) for one in known)
    return phase != "Pending" or bool(status.pod_ips) or ran


def _unready(spec: Json, status: PodStatus, phase: str, facts: StatusFacts) -> tuple[str, str]:
    """Return why the containers, sidecars among them, are not ready; an empty reason: they are."""
    if phase == "Succeeded":
        return "PodCompleted", ""
    if phase == "Failed":
        return "PodFailed", ""
    if facts.waiting is not None:
        return facts.waiting
    sidecars = sidecar_names(spec)
    known = (*(one for one in status.init_containers if one.name in sidecars), *status.containers)
    waits = [one.name for one in known if not is_ready(one)]
    return ("ContainersNotReady", _listed("unready", waits)) if waits else ("", "")


def _incomplete(spec: Json, status: PodStatus, phase: str) -> str:
    """Return which init containers keep the others waiting; empty: none."""
    started = any(isinstance(one.state, Running | Terminated) for one in status.containers)
    if phase == "Succeeded" or started:
        return ""  # also while a sidecar restarts
    known = {one.name: one for one in status.init_containers}
    names = [
        raw["name"]
        for raw in spec.get("initContainers") or ()
        if not _is_complete(raw, known.get(raw["name"]))
    ]
    return _listed("incomplete", names) if names else ""


def _is_complete(raw: Json, status: ContainerStatus | None) -> bool:
    if status is None:
        return False
    if is_sidecar(raw):
        return isinstance(status.state, Running) and status.started is not False
    return isinstance(status.state, Terminated) and status.state.exit_code == 0


def _listed(what: str, names: Sequence[str]) -> str:
    return f"containers with {what} status: [{' '.join(names)}]"


def _closed_gates(pod: Json, spec: Json) -> str:
    """Return what the readiness gates wait for, in the kubelet's words; empty: nothing."""
    found = status_of(pod).get("conditions") or ()
    known = {one["type"]: one.get("status") for one in found}
    texts = []
    for gate in spec.get("readinessGates") or ():
        name = gate["conditionType"]
        if name not in known:
            texts.append(f'corresponding condition of pod readiness gate "{name}" does not exist.')
        elif known[name] != "True":
            text = f'the status of pod readiness gate "{name}" is not "True", but {known[name]}'
            texts.append(text)
    return ", ".join(texts)


def _vk_conditions(facts: StatusFacts) -> Iterator[Condition]:
    if facts.last_update is not None and facts.last_update.status == "True":
        yield facts.last_update
    if facts.waiting is not None and facts.waiting[0] == DAEMON_SET_REFUSED:
        reason, message = facts.waiting
        yield Condition(type=reason, status="True", reason=reason, message=message)


def _outdated(facts: StatusFacts, wanted: Mapping[str, Condition], old: _Rows) -> list[str]:
    """Return vk's own types that the pod has and that no longer hold."""
    ours = []
    if facts.last_update is not None:
        ours += [RESIZE_PENDING, UPDATE_REFUSED]
    if facts.present:
        ours.append(DAEMON_SET_REFUSED)
    return [name for name in ours if name in old and name not in wanted]


def _render(
    condition: Condition, old: Json | None, now: datetime, generation: int
) -> dict[str, Any]:
    same = old is not None and old.get("status") == condition.status
    since = condition.last_transition or now
    result: dict[str, Any] = {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason or None,
        "message": condition.message or None,
        "lastProbeTime": None,
        "lastTransitionTime": old.get("lastTransitionTime") if same and old else format_time(since),
    }
    if generation:
        result["observedGeneration"] = generation
    return result
