"""The mock's logs and usage are simulated, state that, and are functions of the time."""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mock_world import build, pod, simulated

import vk
from vk_providers.mock.logs import SimulatedLog
from vk_providers.mock.pod import ContainerRun
from vk_providers.mock.provider import MockProvider

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
INTRO = "simulated: nothing runs in container default/p/c, this log is made up"
DAY = 86_400


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test begin at noon (and a bit, so that no rounding decides a test)."""
    noon = START.timestamp() + 0.0003
    monkeypatch.setattr(time, "time", lambda: noon)


def lines(*texts: str) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def stamped(second: int, text: str) -> str:
    return f"{START + timedelta(seconds=second):%Y-%m-%dT%H:%M:%S}.000000Z {text}"


async def read(provider: MockProvider, wanted: vk.Pod, name: str = "c", **options) -> bytes:
    container = vk.ContainerKey(wanted.key, name)
    log = provider.logs(container, vk.LogOptions(**options))
    async with aclosing(log) as pieces:
        return b"".join([piece async for piece in pieces])


async def test_without_a_log_line_the_log_only_states_that_it_is_simulated():
    async with build() as provider:
        wanted = pod()
        await provider.create_pod(wanted)
        assert await read(provider, wanted) == lines(INTRO)


@simulated
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [INTRO, "hello", "hello", "hello"]),
        ({"tail_lines": 2}, ["hello", "hello"]),
        ({"tail_lines": 0}, []),
        ({"since": START + timedelta(seconds=2)}, ["hello", "hello"]),
        ({"since": START + timedelta(seconds=9)}, []),
        (
            {"timestamps": True},
            [stamped(0, INTRO), *(stamped(second, "hello") for second in (1, 2, 3))],
        ),
        ({"timestamps": True, "tail_lines": 1}, [stamped(3, "hello")]),
    ],
    ids=str,
)
async def test_a_line_is_written_every_second(options, expected):
    async with build() as provider:
        wanted = pod(log_line="hello")
        await provider.create_pod(wanted)
        await asyncio.sleep(3.5)
        assert await read(provider, wanted, **options) == lines(*expected)


@simulated
async def test_a_limit_of_bytes_ends_the_log_also_while_it_is_followed():
    async with build() as provider:
        wanted = pod(log_line="hello")
        await provider.create_pod(wanted)
        assert await read(provider, wanted, limit_bytes=9) == INTRO[:9].encode()
        expected = lines(INTRO, "hello")[:-2]
        found = await read(provider, wanted, limit_bytes=len(expected), follow=True)
        assert found == expected


@simulated
async def test_following_gives_each_line_when_it_is_written_until_the_container_ends():
    async with build() as provider:
        loop = asyncio.get_running_loop()
        wanted = pod(log_line="tick", run_for="2500ms", policy="Never")
        await provider.create_pod(wanted)
        begin, seen = loop.time(), []
        log = provider.logs(vk.ContainerKey(wanted.key, "c"), vk.LogOptions(follow=True))
        async for piece in log:
            seen.append((round(loop.time() - begin, 1), piece))
        assert seen == [(0.0, lines(INTRO)), (1.0, lines("tick")), (2.0, lines("tick"))]
        assert loop.time() - begin == pytest.approx(2.5, abs=0.01)
        assert await read(provider, wanted, follow=True) == lines(INTRO, "tick", "tick")


@simulated
async def test_following_a_silent_container_ends_with_it():
    async with build() as provider:
        loop = asyncio.get_running_loop()
        wanted = pod(run_for="5m", policy="Never")
        await provider.create_pod(wanted)
        begin = loop.time()
        assert await read(provider, wanted, follow=True, tail_lines=0) == b""
        assert loop.time() - begin == pytest.approx(300, abs=0.01)


@simulated
async def test_following_ends_when_the_pod_is_deleted():
    async with build() as provider:
        wanted = pod(log_line="tick")
        await provider.create_pod(wanted)
        asyncio.get_running_loop().call_later(
            2.5, lambda: deletions.append(asyncio.ensure_future(delete()))
        )
        deletions: list[asyncio.Future[object]] = []

        async def delete() -> object:
            return await provider.delete_pod(wanted.key, grace_period=0)

        found = await read(provider, wanted, follow=True)
        assert found == lines(INTRO, "tick", "tick", "tick")
        assert deletions[0].done()


@simulated
async def test_following_ends_with_the_run_though_another_one_follows():
    async with build() as provider:
        wanted = pod(log_line="tick", restart_every="2s")
        await provider.create_pod(wanted)
        assert await read(provider, wanted, follow=True) == lines(INTRO, "tick", "tick")


@simulated
async def test_the_previous_log_is_that_of_the_run_before_the_restart():
    async with build() as provider:
        wanted = pod(log_line="tick", restart_every="9s")  # and a second to begin again
        await provider.create_pod(wanted)
        with pytest.raises(vk.NotFoundError, match="no previous log of default/p/c"):
            await read(provider, wanted, previous=True)
        await asyncio.sleep(23.5)
        options = {"timestamps": True, "tail_lines": 1}
        assert await read(provider, wanted, **options) == lines(stamped(23, "tick"))
        found = await read(provider, wanted, previous=True, **options)
        assert found == lines(stamped(19, "tick"))


@simulated
async def test_in_backoff_newest_and_previous_log_are_those_of_the_run_that_failed():
    async with build() as provider:
        wanted = pod(log_line="tick", crash_loop="true")
        status = await provider.create_pod(wanted)
        await asyncio.sleep(1 + 1 + 1 + 5)  # a run, a pause, a run, half of the first backoff
        [status] = await provider.get_pods([wanted.key])
        last = status.containers[0].last_state
        assert last is not None and last.started_at == START + timedelta(seconds=2)
        expected = lines(stamped(2, INTRO), stamped(3, "tick"))
        assert await read(provider, wanted, timestamps=True) == expected
        assert await read(provider, wanted, timestamps=True, previous=True) == expected


@simulated
async def test_what_has_not_started_or_is_not_run_has_no_log():
    async with build() as provider:
        late, unknown = pod(start_delay="2s"), pod()
        await provider.create_pod(late)
        for wanted, name in ((late, "c"), (late, "debugger"), (unknown, "c")):
            with pytest.raises(vk.NotFoundError):
                await read(provider, wanted, name)
        await asyncio.sleep(2.5)
        assert await read(provider, late, timestamps=True) == lines(stamped(2, INTRO))


@simulated
async def test_init_containers_and_sidecars_have_logs_of_their_own():
    async with build() as provider:
        inits = [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]
        wanted = pod(inits=inits, log_line="tick", run_for="2s", policy="Never")
        await provider.create_pod(wanted)
        await asyncio.sleep(10)
        intros = [INTRO.replace("/c", f"/{name}") for name in "is"]
        assert await read(provider, wanted, "i", follow=True) == lines(intros[0])
        assert await read(provider, wanted, "s", follow=True) == lines(intros[1], "tick", "tick")
        with pytest.raises(vk.NotFoundError):
            await read(provider, wanted, "i", previous=True)


@simulated
async def test_of_a_long_run_the_newest_hour_is_kept_and_the_first_line():
    async with build() as provider:
        wanted = pod(log_line="tick")
        await provider.create_pod(wanted)
        await asyncio.sleep(30 * DAY)
        kept = (await read(provider, wanted, timestamps=True)).decode().splitlines()
        assert len(kept) == 3601
        assert kept[0] == stamped(0, INTRO)
        assert kept[1] == stamped(30 * DAY - 3599, "tick")
        assert kept[-1] == stamped(30 * DAY, "tick")


@simulated
async def test_the_configuration_gives_the_line_of_pods_that_do_not_say():
    async with build(log_line="from the node") as provider:
        plain, own, silent = pod(), pod(log_line="from the pod"), pod(log_line="")
        for each in (plain, own, silent):
            await provider.create_pod(each)
        await asyncio.sleep(1.5)
        assert await read(provider, plain) == lines(INTRO, "from the node")
        assert await read(provider, own) == lines(INTRO, "from the pod")
        assert await read(provider, silent) == lines(INTRO)


@simulated
async def test_the_log_is_the_same_after_the_process_began_again(tmp_path):
    wanted = pod(log_line="tick")
    async with build(state=str(tmp_path / "pods")) as provider:
        await provider.create_pod(wanted)
    await asyncio.sleep(2.5)
    async with build(state=str(tmp_path / "pods")) as provider:  # no time has passed by its clock
        await asyncio.sleep(1.5)
        found = await read(provider, wanted, timestamps=True)
        assert found == lines(stamped(0, INTRO), stamped(1, "tick"))


@given(
    began=st.integers(0, 10**13),
    ends=st.none() | st.integers(0, 10_000),
    looks=st.lists(st.integers(0, 20_000), min_size=1).map(sorted),
)
def test_a_log_read_in_parts_is_the_log_read_at_once(began, ends, looks):
    container = vk.ContainerKey(vk.PodKey("default", "p", "u"), "c")
    log = SimulatedLog(
        container, "tick", ContainerRun(began, None if ends is None else began + ends)
    )
    parts, first = [], 0
    for look in looks:
        last = log.newest(began + look)
        parts.append(log.text(first, last))
        first = last + 1
    assert b"".join(parts) == log.text(0, log.newest(began + looks[-1]))
    written = looks[-1] if ends is None else min(looks[-1], ends)
    assert len(b"".join(parts).splitlines()) == 1 + written // 1000


@simulated
async def test_usage_is_half_of_what_is_requested_and_adds_up_with_time():
    wanted, modest, late = pod(), pod(policy="Never", run_for="30s"), pod(start_delay="1h")
    wanted.raw["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1500m", "memory": "1Gi"}
    }
    pods = {each.key.uid: each for each in (wanted, modest, late)}
    async with build(pods=pods) as provider:
        for each in (wanted, modest, late, pod()):  # the last one is no pod of the cluster's
            await provider.create_pod(each)
        await asyncio.sleep(20)
        first, second, third = (await provider.stats()).pods
        usage = first.containers["c"]
        assert usage.time == START + timedelta(seconds=20)
        assert usage.started_at == START
        assert (usage.cpu_cores, usage.cpu_seconds) == (0.75, 15.0)
        assert usage.memory_bytes == usage.working_set_bytes == 2**29
        usage = second.containers["c"]
        assert (usage.cpu_cores, usage.cpu_seconds) == (0.05, 1.0)
        assert usage.memory_bytes == 100 * 2**20
        assert third.containers == {}
        await asyncio.sleep(20)
        first, second, third = (await provider.stats()).pods
        assert first.containers["c"].cpu_seconds == 30.0
        assert second.containers == {}
