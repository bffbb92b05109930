"""One pod of this machine on vk's side: its connection, newest report and status.

The provider creates one for each pod folder and runs `ProcessPod.follow` until the pod has ended.
After a supervisor was killed, the status is read from the folder's files.

An ended pod keeps its status and logs until it is removed. A pod whose supervisor died is Failed
with the reason SupervisorLost, regardless of its restart policy, since it cannot be restarted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

import attrs

import vk
from vk_providers.process.folders import PodIdentity
from vk_providers.process.log_entries import LogStream
from vk_providers.process.logs import read_log
from vk_providers.process.protocol import PodEvent, Report, is_running, last_report
from vk_providers.process.supervisor_client import SupervisorClient, SupervisorDisconnected, connect
from vk_providers.process.supervisor_session import SupervisorSession

__all__ = ["ProcessPod"]

_SHORTEST, _LONGEST = 0.05, 2.0
"""Seconds between connection attempts to a supervisor that is exiting or unreachable."""
_STREAMS: Mapping[str | None, LogStream] = {None: "all", "stdout": "stdout", "stderr": "stderr"}
_LOST = "the pod's supervisor was killed, or the machine was restarted"


@attrs.define(eq=False)
class ProcessPod:
    """A pod that was started on this machine."""

    identity: PodIdentity
    folder: Path
    """The supervisor's."""
    host_ip: str
    client: SupervisorClient | None = None
    report: Report | None = None
    """The newest report; None: the supervisor is starting."""
    over: bool = False
    """Whether the pod has ended and its supervisor has exited."""
    asked_to_end: bool = False
    """Whether a stop was requested, now or before vk started."""
    _connecting: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    def refresh(self) -> None:
        """Read the status from the folder, without a connection."""
        if self.client is not None and not self.client.closed and self.report is not None:
            return
        alive = is_running(self.folder)  # checked before reading the report, which may be the last
        found = last_report(self.folder)
        if found is not None:
            self.report = found[0]
            self.asked_to_end |= found[0].stopping
        self.over = not alive and self.report is not None

    def status(self, *, deleting: bool) -> vk.PodStatus:
        """Return the pod's status; ``deleting``: whether the pod is being deleted.

        Raises TemporaryError where the supervisor has not reported a status yet.
        """
        report = self.report
        if report is None:
            raise vk.TemporaryError(f"the supervisor of {self.identity.key} is starting")
        lost = self.over and not report.ended
        status = (report.lost() if lost else report).pod_status()
        status = attrs.evolve(
            status,
            pod_ips=(self.identity.ip,),
            host_ips=(self.host_ip,),
            backend_id=self.identity.key.uid,
        )
        if lost:
            return attrs.evolve(status, phase="Failed", reason="SupervisorLost", message=_LOST)
        if report.ended and report.stopping and not deleting:
            text = "the pod's supervisor was terminated, as at a shutdown of the machine"
            return attrs.evolve(status, phase="Failed", reason="Terminated", message=text)
        return status

    async def stop(self, grace_period: float) -> None:
        """Stop the pod; raises TemporaryError where its supervisor is unreachable."""
        self.report = await (await self.connected()).stop(grace_period)

    async def connected(self) -> SupervisorClient:
        """Return a connected client; raises TemporaryError."""
        async with self._connecting:
            if self.client is None or self.client.closed:
                try:
                    self.client = await connect(self.folder)
                except vk.NotFoundError as error:
                    raise vk.TemporaryError(f"pod {self.identity.key} is not running") from error
            return self.client

    async def session(
        self, request: Callable[[SupervisorClient], Awaitable[SupervisorSession]]
    ) -> SupervisorSession:
        """Open what ``ask`` asks for; raises InvalidInputError where the pod has ended."""
        self._refuse_the_ended()
        try:
            return await request(await self.connected())
        except vk.TemporaryError:
            self.refresh()
            self._refuse_the_ended()  # just now
            raise

    async def follow(
        self, changed: Callable[[], None], on_event: Callable[[PodEvent], None]
    ) -> None:
        """Update `report` until the pod has ended; ``changed`` is called after each change.

        ``tell`` gets every event, those of an earlier process of vk again.
        """
        wait = _SHORTEST
        while is_running(self.folder):
            try:
                await self._receive(await self.connected(), changed, on_event)
                wait = _SHORTEST
            except vk.TemporaryError:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST)
        self.close()
        self.refresh()
        for event in (last_report(self.folder) or (None, ()))[1]:
            on_event(event)
        changed()

    async def logs(self, container: str, options: vk.LogOptions) -> AsyncGenerator[bytes, None]:
        """Return a container's log; raises InvalidInputError for a run that does not exist."""
        reason = self._waits(container)
        try:
            return await read_log(
                self.folder,
                container,
                follow=options.follow,
                previous=options.previous,
                waiting=bool(reason),
                tail=options.tail_lines,
                since=options.since,
                limit=options.limit_bytes,
                timestamps=options.timestamps,
                stream=_STREAMS[options.stream],
            )
        except vk.InvalidInputError:
            if options.previous or not reason:
                raise
            where = f'container "{container}" in pod "{self.identity.key.name}"'
            raise vk.InvalidInputError(f"{where} is waiting to start: {reason}") from None

    def _refuse_the_ended(self) -> None:
        if self.over or (self.report is not None and self.report.ended):
            raise vk.InvalidInputError(f"pod {self.identity.key} has ended")

    def _waits(self, container: str) -> str:
        """Return the reason why a container is waiting, empty where it is not."""
        status = self.status(deleting=False)
        for each in (*status.init_containers, *status.containers):
            if each.name == container and isinstance(each.state, vk.Waiting):
                return each.state.reason
        return ""

    def close(self) -> None:
        """Disconnect; the pod keeps running."""
        if self.client is not None:
            self.client.close()
            self.client = None

    async def _receive(
        self,
        client: SupervisorClient,
        changed: Callable[[], None],
        on_event: Callable[[PodEvent], None],
    ) -> None:
        """Handle the changes and events of one connection; raises SupervisorDisconnected."""
        async with asyncio.TaskGroup() as group:
            forwarding = group.create_task(_forward_events(client, on_event))
            try:
                async with aclosing(client.changes()) as changes:
                    async for report in changes:
                        self.report = report
                        changed()
            except SupervisorDisconnected:
                forwarding.cancel()
                ended = False
            else:
                ended = True
                client.close()
        if not ended:
            raise SupervisorDisconnected("the connection to the supervisor was lost")


async def _forward_events(client: SupervisorClient, on_event: Callable[[PodEvent], None]) -> None:
    async with aclosing(client.events()) as events:
        async for event in events:
            on_event(event)
