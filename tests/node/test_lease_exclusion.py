"""No two replicas act at once: three of them, in simulated time, with calls delayed at will.

A replica *acts* while `Lease.check` passes. What happens is drawn: how long a request takes to
arrive and its answer to return, which are lost, which replica is cut off, stops, dies, starts
again. A request on its way arrives, also after its replica has died. The API server is all that the
replicas share.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import attrs
import looptime
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from node_api import Api

from vk.errors import TemporaryError, UnavailableError
from vk.node.lease import Lease, LeaseLostError

pytestmark = [pytest.mark.field, pytest.mark.slow]

DURATION = 30.0
LENGTH = 300.0
"""Seconds of simulated time."""
LOOK = 0.5
"""Seconds between two looks at who acts."""
REPLICAS = ("a", "b", "c")

delays = st.sampled_from((0.0, 0.1, 1.0, 5.0, 9.0, 15.0, 25.0, 40.0))
answers = st.sampled_from(("kept", "kept", "kept", "kept", "lost", "refused"))


@attrs.frozen
class Call:
    """What becomes of one call of a replica."""

    there: float
    back: float
    outcome: str


QUICK = [Call(0.1, 0.1, "kept")]
quick = st.just(QUICK)
slow_answers = st.lists(st.builds(Call, st.just(0.1), delays, answers), min_size=1, max_size=3)
slow_requests = st.lists(st.builds(Call, delays, st.just(0.1), answers), min_size=1, max_size=3)
anything = st.lists(st.builds(Call, delays, delays, answers), min_size=1, max_size=6)
links = st.one_of(quick, slow_answers, slow_requests, anything)
faults_at = st.lists(
    st.tuples(
        st.floats(0, LENGTH),
        st.sampled_from(REPLICAS),
        st.sampled_from(("release", "kill", "cut off", "cut off", "reconnect")),
    ),
    max_size=12,
)


@attrs.define(eq=False)
class Link:
    """One replica's way to the API server: each call takes what was drawn for it."""

    api: Api
    drawn: list[Call]
    cut: bool = False
    _next: int = 0

    async def get(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(lambda: self.api.get(*args, **kwargs))

    async def create(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(lambda: self.api.create(*args, **kwargs))

    async def replace(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(lambda: self.api.replace(*args, **kwargs))

    async def _call(self, make: Callable[[], Awaitable[Any]]) -> Any:
        call = self.drawn[self._next % len(self.drawn)]
        self._next += 1
        # A request that is on its way arrives, even when its caller has given up.
        arrives = asyncio.ensure_future(self._arrive(call, make))
        arrives.add_done_callback(lambda done: done.cancelled() or done.exception())
        answer = await asyncio.shield(arrives)
        await asyncio.sleep(call.back)
        if call.outcome == "lost" or self.cut:
            raise UnavailableError("no answer")
        return answer

    async def _arrive(self, call: Call, make: Callable[[], Awaitable[Any]]) -> Any:
        await asyncio.sleep(call.there)
        if call.outcome == "refused" or self.cut:
            raise UnavailableError("no answer")
        return await make()


@attrs.define(eq=False)
class Replica:
    """A process that wants the lease, holds it, loses it, and wants it again."""

    lease: Lease
    link: Link
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def end(self, *, release: bool) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if release:
            await self.lease.release()

    def acts(self) -> bool:
        try:
            self.lease.check()
        except TemporaryError:
            return False
        return self._task is not None and not self._task.done()

    async def _run(self) -> None:
        while True:
            await self.lease.acquire()
            with suppress(LeaseLostError):
                await self.lease.run()


async def history(drawn: dict[str, list[Call]], faults: list[tuple[float, str, str]]) -> list[str]:
    """Run the replicas; return who acted, at each look, and fail where two did."""
    api = Api()

    def replica(name: str) -> Replica:
        link = Link(api, drawn[name])
        return Replica(
            Lease(link, node_name="n", identity=name, duration=DURATION),  # type: ignore[arg-type] # what a Lease calls of a Client
            link,
        )

    replicas = {name: replica(name) for name in REPLICAS}
    for one in replicas.values():
        one.start()
    seen: list[str] = []
    pending = sorted(faults)
    moment = 0.0
    while moment < LENGTH:
        await asyncio.sleep(LOOK)
        moment += LOOK
        acting = [name for name, one in replicas.items() if one.acts()]
        assert len(acting) <= 1, f"{acting} act at {moment}"
        seen.append("".join(acting))
        while pending and pending[0][0] <= moment:
            _, name, fault = pending.pop(0)
            if fault in ("release", "kill"):
                await replicas[name].end(release=fault == "release")
                replicas[name] = replica(name)
                replicas[name].start()
            else:
                replicas[name].link.cut = fault == "cut off"
    for one in replicas.values():
        await one.end(release=False)
    return seen


def simulate(main: Awaitable[list[str]]) -> list[str]:
    """Run a coroutine on a loop whose clock jumps from timer to timer."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(main)  # type: ignore[arg-type] # a coroutine


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    drawn=st.fixed_dictionaries(dict.fromkeys(REPLICAS, links)),
    faults=faults_at,
)
@example(  # its answers are late, and then none comes: what counts is when it was sent
    drawn={"a": [Call(0.1, 9.0, "kept")], "b": QUICK, "c": QUICK}, faults=[(100.0, "a", "cut off")]
)
def test_no_two_replicas_act_at_once(
    drawn: dict[str, list[Call]], faults: list[tuple[float, str, str]]
) -> None:
    simulate(history(drawn, faults))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults=faults_at)
def test_a_replica_that_reaches_the_api_server_acts_again(
    faults: list[tuple[float, str, str]],
) -> None:
    """However the others end: one acts within the duration and the waits between two tries."""
    everyone = dict.fromkeys(REPLICAS, QUICK)
    reachable = [(at, name, fault) for at, name, fault in faults if fault != "cut off"]
    seen = simulate(history(everyone, reachable))
    idle = [len(list(group)) for name, group in itertools.groupby(seen) if not name]
    assert max(idle, default=0) * LOOK <= DURATION + 5
