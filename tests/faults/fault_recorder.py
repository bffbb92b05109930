"""The judge of the fault run: what the API server showed and what the backend did, side by side.

Knows nothing of the program under test and shares no code with it: the standard library alone. It
follows pods, the node and its lease at the API server itself (not through the proxy), keeps every
version, and reads the backend's ledger at the end. `broken` returns each promise that was not kept.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Object = dict[str, Any]
RANK = {"Pending": 0, "Running": 1, "Succeeded": 2, "Failed": 2}
ORPHANED = 200.0
"""Seconds after which the workload of a pod that was removed by force must have ended."""
STALE = 60.0
"""Seconds for which the node's caches may lag: a reflector waits up to 30 s between two tries."""
SLACK = 1.0
"""Seconds by which two clocks readings of one machine may differ in our record: a version is noted
when its line arrives here."""


@dataclass
class Api:
    """A client of the API server."""

    address: str
    authority: str
    certificate: str
    key: str

    def connect(self, timeout: float | None = 30.0) -> http.client.HTTPSConnection:
        """Return a new connection."""
        context = ssl.create_default_context(cafile=self.authority)
        context.load_cert_chain(self.certificate, self.key)
        return http.client.HTTPSConnection(self.address, timeout=timeout, context=context)

    def call(
        self, method: str, path: str, body: object = None, kind: str = "application/json"
    ) -> tuple[int, Object]:
        """Return status code and parsed answer."""
        connection = self.connect()
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


@dataclass
class Version:
    """One version of an object; ``gone``: the event that removed it."""

    at: float
    thing: Object
    gone: bool = False


@dataclass
class Recorder:
    """Follows resources until `stop`. Each thread follows one path of the API."""

    api: Api
    histories: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))
    """Versions in their order, by UID."""
    failure: str = ""
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def follow(self, path: str, selector: str = "") -> None:
        """List ``path`` and keep every change from then on."""
        query = {"fieldSelector": selector} if selector else {}
        status, found = self.api.call("GET", f"{path}?{urllib.parse.urlencode(query)}")
        assert status == 200, found
        for thing in found["items"]:
            self._note(thing)
        version = found["metadata"]["resourceVersion"]
        thread = threading.Thread(target=self._watch, args=(path, query, version), daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Stop following; raises where a watch broke, since then nothing was judged."""
        self._stopped.set()
        assert not self.failure, self.failure

    def _note(self, thing: Object, *, gone: bool = False) -> None:
        self.histories[thing["metadata"]["uid"]].append(Version(time.time(), thing, gone))

    def _watch(self, path: str, query: dict[str, str], version: str) -> None:
        try:
            while not self._stopped.is_set():
                for event in self._events(path, query, version):
                    kind, thing = event["type"], event["object"]
                    if kind == "ERROR":
                        raise RuntimeError(f"watch of {path}: {thing}")
                    version = thing["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        self._note(thing, gone=kind == "DELETED")
        except Exception as error:  # noqa: BLE001 # a judge that cannot see must not be silent
            if not self._stopped.is_set():
                self.failure = f"{path}: {error!r}"

    def _events(self, path: str, query: dict[str, str], version: str) -> Iterator[Object]:
        options = {**query, "watch": "1", "resourceVersion": version, "allowWatchBookmarks": "1"}
        connection = self.api.connect(timeout=None)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(options)}")
            answer = connection.getresponse()
            while line := answer.readline():
                yield json.loads(line)
        finally:
            connection.close()


@dataclass
class Pod:
    """All that is known of one pod."""

    uid: str
    versions: list[Version]
    calls: list[Object]
    workload: Object | None

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.versions[0].thing["metadata"]["name"])

    @property
    def last(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def ended_at(self) -> float | None:
        """Return when the workload ended or ends; None: it runs on, or never ran."""
        return None if self.workload is None else self.workload["ends"]

    def asked_to_end(self) -> float:
        """Return the first moment at which the API shows a reason to end the workload."""
        for version in self.versions:
            deleting = version.thing["metadata"].get("deletionTimestamp")
            if version.gone or deleting or RANK[_phase(version.thing)] == 2:
                return version.at
        return float("inf")


def broken(recorder: Recorder, *, folder: Path, node: str, settled: bool) -> list[str]:
    """Return the promises that were not kept, as text; ``settled``: all should be at rest now."""
    calls: dict[str, list[Object]] = defaultdict(list)
    ledger = folder / "ledger.jsonl"
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    for entry in entries:
        calls[entry["uid"]].append(entry)
    workloads = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    histories = {uid: list(versions) for uid, versions in recorder.histories.items()}
    pods = [
        Pod(uid, versions, calls[uid], workloads.get(uid))
        for uid, versions in histories.items()
        if versions[0].thing["kind"] == "Pod"
    ]
    found = []
    for pod in pods:
        problems = [*_forward(pod), *_done_once(pod), *_honest(pod)]
        if settled:
            problems += _settled(pod)
        different = dict.fromkeys(problems)  # what is wrong stays wrong in later versions
        found += [f"pod {pod.name} ({pod.uid}): {problem}" for problem in different]
    leases = [
        version
        for versions in histories.values()
        for version in versions
        if version.thing["kind"] == "Lease" and version.thing["metadata"]["name"] == node
    ]
    found += _one_acts(entries, leases)
    found += [f"workload {uid} of no pod" for uid in workloads.keys() - {pod.uid for pod in pods}]
    for versions in histories.values():
        if versions[0].thing["kind"] == "Node":
            found += _node(versions)
    return found


def _forward(pod: Pod) -> Iterator[str]:
    """Status only moves forward, version by version."""
    for before, after in zip(pod.versions, pod.versions[1:], strict=False):
        old, new = before.thing.get("status", {}), after.thing.get("status", {})
        was, now = _phase(before.thing), _phase(after.thing)
        if RANK[now] < RANK[was] or (RANK[was] == 2 and now != was):
            yield f"phase {was} -> {now}"
        for name in ("startTime", "podIP"):
            if old.get(name) and old[name] != new.get(name):
                yield f"{name} {old[name]} -> {new.get(name)}"
        if (old.get("observedGeneration") or 0) > (new.get("observedGeneration") or 0):
            yield "observedGeneration went back"
        known = _container(before.thing)
        if known is None:
            continue
        current = _container(after.thing)
        if current is None:
            yield "the container's status went away"
            continue
        if current["restartCount"]:
            yield f"{current['restartCount']} restarts that never happened"
        began, begins = _started(known), _started(current)
        if began and begins and began != begins:
            yield f"the container's start {began} -> {begins}"
        if "terminated" in known["state"] and current["state"] != known["state"]:
            yield f"left the state {known['state']} for {current['state']}"


def _done_once(pod: Pod) -> Iterator[str]:
    """One workload a UID, and none ended without a reason."""
    starts = [call for call in pod.calls if call["call"] == "start"]
    if len(starts) > 1:
        yield f"started {len(starts)} times"
    asked = pod.asked_to_end()
    for call in pod.calls:
        if call["call"] == "delete" and call["at"] < asked - SLACK:
            yield "the backend was told to end it before anything asked for that"
    for start in starts:
        if start["at"] > asked + STALE:
            yield "started long after it was to end"


def _honest(pod: Pod) -> Iterator[str]:
    """What the API says of an end has happened."""
    ends = pod.ended_at()
    for version in pod.versions:
        phase, container = _phase(version.thing), _container(version.thing)
        over = ends is not None and ends <= version.at + SLACK
        if RANK[phase] == 2 and pod.workload is not None and not over:
            yield f"{phase} while the workload runs"
            return
        terminated = (container or {}).get("state", {}).get("terminated")
        if terminated and pod.workload is not None:
            if not over:
                yield "terminated while the workload runs"
                return
            if terminated["exitCode"] != pod.workload["code"]:
                yield f"exit code {terminated['exitCode']}, in truth {pod.workload['code']}"
                return
        if version.gone and not _forced(pod) and pod.workload is not None and not over:
            yield "removed while the workload runs"
            return


def _settled(pod: Pod) -> Iterator[str]:
    """At rest the API shows what is true, and nothing runs for pods that are gone."""
    ends = pod.ended_at()
    runs = pod.workload is not None and (ends is None or ends > time.time())
    thing = pod.last.thing
    if pod.last.gone:
        # A removal that no process saw leaves an orphan: two minutes old, seen in two passes.
        if runs and (not _forced(pod) or time.time() - pod.last.at > ORPHANED):
            yield "gone, and its workload runs on"
        return
    if thing["metadata"].get("deletionTimestamp"):
        yield "still being deleted"
    elif runs and _phase(thing) != "Running":
        yield f"{_phase(thing)}, though it runs"
    elif pod.workload is None:
        yield f"{_phase(thing)}, and never started"
    elif not runs:
        expected = "Failed" if pod.workload["code"] else "Succeeded"
        if _phase(thing) != expected:
            yield f"{_phase(thing)}, and should be {expected}"


def _one_acts(entries: list[Object], leases: list[Version]) -> Iterator[str]:
    """Each replica that calls the backend has renewed the node's lease within its duration."""
    renewals: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for version in leases:
        spec = version.thing["spec"]
        if spec.get("renewTime"):
            replica = _replica(version.thing)
            at = datetime.fromisoformat(spec["renewTime"].replace("Z", "+00:00")).timestamp()
            renewals[replica].append((at, float(spec["leaseDurationSeconds"])))
    for entry in entries:
        held = renewals[entry["replica"]]
        # A create takes up to 0.2 s at the backend after the lease was checked.
        if not any(at - SLACK <= entry["at"] <= at + duration + SLACK for at, duration in held):
            yield f"replica {entry['replica']} acted without the lease: {entry}"


def _replica(lease: Object) -> str:
    """Return which replica a lease names: its annotation where it has one, else the holder."""
    annotations = lease["metadata"].get("annotations") or {}
    named = [text for key, text in annotations.items() if key.endswith("/replica")]
    return str(named[0] if named else lease["spec"].get("holderIdentity") or "")


def _node(versions: list[Version]) -> Iterator[str]:
    for version in versions:
        for condition in version.thing.get("status", {}).get("conditions", ()):
            if condition["type"] == "Ready" and condition["status"] == "False":
                yield f"the node was set to not ready: {condition.get('message')}"
                return


def _phase(pod: Object) -> str:
    return str(pod.get("status", {}).get("phase") or "Pending")


def _container(pod: Object) -> Object | None:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return statuses[0] if statuses else None


def _started(container: Object) -> str | None:
    for state in ("running", "terminated"):
        if state in container["state"]:
            started: str | None = container["state"][state].get("startedAt")
            return started
    return None


def _forced(pod: Pod) -> bool:
    """Return whether the last deletion asked for no grace: then the API server does not wait."""
    return any(
        version.thing["metadata"].get("annotations", {}).get("fault-run/forced")
        for version in pod.versions
    )
