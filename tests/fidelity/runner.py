"""Play one fidelity case against an API server and say exactly where its answers differ.

Comes in: a `Case` and a `Connection`. Goes out: nothing, or `Mismatch`, whose text names the step,
each difference and the answer. `test_fidelity.py` plays every case on both servers.

Note: placeholders such as ``<uid>`` stand for values that an earlier step kept; ``<ns>`` is
the namespace of the case, ``<pods>`` and the like the paths below it. Cluster-wide objects that a
case made are deleted when it ends; a step that waits (``reaches``, READ) waits for a watch event.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from typing import Any

import attrs
from case_files import Case, Step, lay_over
from connection import Answer, Connection, Stream
from expectation import differences, event_differences

__all__ = ["Mismatch", "play"]

CORE = (
    *("pods", "configmaps", "secrets", "services", "serviceaccounts", "endpoints", "events"),
    "persistentvolumeclaims",
)
GROUPED = {
    "leases": "coordination.k8s.io",
    "roles": "rbac.authorization.k8s.io",
    "rolebindings": "rbac.authorization.k8s.io",
    "endpointslices": "discovery.k8s.io",
    "new_events": "events.k8s.io",
}
SIGNING = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
NOT_OURS = {"any", "nil", "none", "unknown", "unset", "invalid"}
"""Words in angle brackets that the API server itself writes, and <any>."""
LONGEST_WATCH = 20
"""Seconds after which the server ends a watch that did not bring what a case waits for."""


class Mismatch(AssertionError):
    """An answer that is not the expected one."""


async def play(
    case: Case, connection: Connection, *, compact: Callable[[], None] | None = None
) -> None:
    """Run the steps of ``case`` in a new namespace; raises Mismatch at the first wrong step.

    ``compact`` makes the server forget what has changed so far, for the step COMPACT.
    """
    run = _Run(case, connection, _paths(case.namespace), compact)
    try:
        await run.make_namespace()
        for number, step in enumerate(case.steps, start=1):
            await run.step(number, step)
    finally:
        await run.clean_up()


@attrs.define
class _Run:
    """What one run of a case has kept and must close."""

    case: Case
    connection: Connection
    kept: dict[str, Any]
    compact: Callable[[], None] | None
    streams: dict[str, Stream] = attrs.field(factory=dict)
    cluster_wide: list[str] = attrs.field(factory=list)

    async def make_namespace(self) -> None:
        """Create the namespace and wait for what controllers put into each."""
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.kept["ns"]}}
        made = await self._send("POST", "/api/v1/namespaces", json.dumps(body).encode())
        if made.code != 201:
            raise Mismatch(f"{self.case.title}: no namespace: {made.body}")
        await asyncio.gather(
            self._appears("<serviceaccounts>", "default"),
            self._appears("<configmaps>", "kube-root-ca.crt"),
        )

    async def step(self, number: int, step: Step) -> None:
        """Do one step and compare; raises Mismatch with every difference of it."""
        deadline = time.monotonic() + step.within
        while True:
            path, answer, stream = await self._ask(step)
            wrong = self._compare(step, answer)
            if not wrong or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)  # the real server reads roles and accounts from caches
        seen: list[Any] = []
        if stream is not None and not wrong:
            self.streams[step.opens or step.path] = stream
            wrong, seen = await self._read(step, stream)
        if wrong:
            shown = json.dumps(seen or answer.body, ensure_ascii=False)[:3000]
            where = f"{self.case.title}\nstep {number}: {step.verb} {path} -> {answer.code}"
            raise Mismatch("\n  ".join([where, *wrong]) + f"\n  answer: {shown}")
        for name, field in step.keep.items():
            self.kept[name] = _at(seen if stream else answer.body, field)

    async def clean_up(self) -> None:
        """Close what is open and delete what is left, without waiting for controllers."""
        for stream in self.streams.values():
            stream.close()
        now = json.dumps({"gracePeriodSeconds": 0}).encode()
        for path in [*reversed(self.cluster_wide), self.kept["pods"]]:
            await self._send("DELETE", path, now)
        await self._send("DELETE", f"/api/v1/namespaces/{self.kept['ns']}", None)

    async def _ask(self, step: Step) -> tuple[str, Answer, Stream | None]:
        """Send the request of a step, or find the watch that it reads on."""
        path, user = self._fill(step.path), self._fill(step.user)
        headers = {"Accept": step.accept}
        if step.verb == "READ":
            return path, Answer(200, {}, None), self.streams[step.path]
        if step.verb == "COMPACT" and self.compact:
            self.compact()
            return path, Answer(200, {}, None), None
        if step.verb != "WATCH":
            return path, await self._request(step, path, user, headers), None
        path += ("&" if "?" in path else "?") + "watch=true"
        if "timeoutSeconds" not in path:
            path += f"&timeoutSeconds={LONGEST_WATCH}"
        return path, *await self.connection.watch(path, user=user, headers=headers)

    async def _request(self, step: Step, path: str, user: str, headers: dict[str, str]) -> Answer:
        content = step.raw
        if step.body is not None:
            body = self._fill(step.body)
            if step.pad:
                body = lay_over(body, {"data": {"pad": "x" * step.pad}})
            content = json.dumps(body)
        if content is not None and step.content_type:
            headers["Content-Type"] = step.content_type
        patch = step.verb in ("MERGE", "STRATEGIC", "JSON", "APPLY")
        answer = await self.connection.request(
            "PATCH" if patch else step.verb,
            path,
            user=user,
            headers=headers,
            body=content.encode() if isinstance(content, str) else content,
        )
        self._remember(path, answer)
        return answer

    def _remember(self, path: str, answer: Answer) -> None:
        meta = answer.body.get("metadata") if isinstance(answer.body, dict) else None
        if answer.code == 201 and isinstance(meta, dict) and "uid" in meta:
            base = path.partition("?")[0]
            if "/namespaces/" not in base:
                end = "" if base.endswith(f"/{meta['name']}") else f"/{meta['name']}"
                self.cluster_wide.append(base + end)

    def _compare(self, step: Step, answer: Answer) -> list[str]:
        good = (200, 201)
        wrong = differences(step.code, answer.code, "code") if step.code else []
        if step.code is None and answer.code not in good:
            wrong = [f"code: expected one of {good}, got {answer.code}"]
        for name, value in step.headers.items():
            wrong += differences(self._fill(value), answer.headers.get(name.lower()), name)
        if step.has is not None:
            wrong += differences(self._fill(step.has), answer.body)
        if step.text is not None:
            wrong += differences(self._fill(step.text), answer.body, "text")
        if step.names is not None:
            items = answer.body.get("items") if isinstance(answer.body, dict) else None
            found = [item["metadata"]["name"] for item in items or []]
            wrong += differences(self._fill(step.names), found, "names")
        return wrong

    async def _read(self, step: Step, stream: Stream) -> tuple[list[str], list[Any]]:
        """Read what the step expects; give the differences and the events read."""
        seen: list[Any] = []
        wrong: list[str] = []
        for index, expected in enumerate(step.events or []):
            event = await stream.next()
            if event is None:
                return [*wrong, f"event {index}: the watch ended"], seen
            seen.append(event)
            wrong += event_differences(self._fill(expected), event, f"event {index}")
        while step.reaches is not None and not wrong:
            event = await stream.next()
            if event is None:
                return [f"the watch ended before {step.reaches}"], seen
            seen.append(event)
            if not event_differences(self._fill(step.reaches), event, ""):
                break
        if step.ends and (event := await stream.next()) is not None:
            wrong.append(f"expected the end of the watch, got {json.dumps(event)[:1000]}")
        return wrong, seen

    async def _appears(self, path: str, name: str) -> None:
        path = f"{self._fill(path)}?watch=true&timeoutSeconds={LONGEST_WATCH}"
        path += f"&fieldSelector=metadata.name%3D{name}"
        answer, stream = await self.connection.watch(path, user="admin", headers={})
        if stream is None:
            raise Mismatch(f"{self.case.title}: {path}: {answer.body}")
        event = await stream.next()
        stream.close()
        if event is None:
            raise Mismatch(f"{self.case.title}: {name} did not appear in the namespace")

    async def _send(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body else {}
        return await self.connection.request(method, path, user="admin", headers=headers, body=body)

    def _fill(self, value: Any) -> Any:
        """Return ``value`` with its placeholders replaced by what was kept."""
        if isinstance(value, dict):
            return {self._fill(key): self._fill(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._fill(one) for one in value]
        if not isinstance(value, str):
            return value
        return re.sub(r"<([a-z_0-9]+)>", self._kept, value)

    def _kept(self, match: re.Match[str]) -> str:
        name = match.group(1)
        return match.group(0) if name in NOT_OURS else str(self.kept[name])


def _paths(namespace: str) -> dict[str, Any]:
    paths = {name: f"/api/v1/namespaces/{namespace}/{name}" for name in CORE}
    for name, group in GROUPED.items():
        plural = name.removeprefix("new_")
        paths[name] = f"/apis/{group}/v1/namespaces/{namespace}/{plural}"
    return {"ns": namespace, "signing": SIGNING, **paths}


def _at(value: Any, field: str) -> Any:
    for key in field.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
