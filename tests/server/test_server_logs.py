"""Logs over HTTP: reading, following by many at once, refusals before and break-offs after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import pytest
from server_world import POD, Quiet, World, serving, statuses

import vk
from vk.log_lines import filter_lines, split_stamp, stamp_time
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.server import log_follow

PATH = "/containerLogs/default/web/app"
START = datetime(2026, 1, 31, 12, tzinfo=UTC)


@attrs.define(eq=False)
class Writing(Quiet):
    """A container that writes when its test says so; every line has its time."""

    lines: list[bytes] = attrs.field(factory=list)
    ended: bool = False
    stamped: bool = True
    obeys_since: bool = True
    error: Exception | None = None
    followed: int = 0
    """Calls that follow, now."""
    _change: asyncio.Condition = attrs.field(factory=asyncio.Condition)

    async def write(self, *texts: str, second: float | None = None) -> None:
        async with self._change:
            for text in texts:
                moment = START + timedelta(seconds=len(self.lines) if second is None else second)
                self.lines.append(f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z {text}\n".encode())
            self._change.notify_all()

    async def put(self, part: bytes) -> None:
        """Write a part of a line; the first one with its time."""
        async with self._change:
            self.lines.append(part)
            self._change.notify_all()

    async def end(self, error: Exception | None = None) -> None:
        async with self._change:
            self.ended, self.error = True, error
            self._change.notify_all()

    async def until(self, followed: int) -> None:
        async with self._change:
            await self._change.wait_for(lambda: self.followed == followed)

    async def logs(self, container: ContainerKey, options: LogOptions) -> AsyncIterator[bytes]:
        self.asked.append((container, options))
        if not self.stamped:
            options = attrs.evolve(options, timestamps=False)
        if not self.obeys_since:
            options = attrs.evolve(options, since=None)
        wanted, position = filter_lines(options), len(self.lines)
        there = wanted.feed(b"".join(self.lines)) + wanted.finish()
        size = 300_000 if options.follow else 1_300_000
        for start in range(0, len(there), size):
            yield there[start : start + size]
        if not options.follow:
            return
        async with self._counted():
            while not wanted.full:
                await self._news(position)
                new, position = self.lines[position:], len(self.lines)
                data = wanted.feed(b"".join(new))
                if data:
                    yield data
                if self.ended and position == len(self.lines):
                    break
        if self.error is not None:
            raise self.error

    async def _news(self, position: int) -> None:
        async with self._change:
            await self._change.wait_for(lambda: self.ended or len(self.lines) > position)

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        async with self._change:
            self.followed += 1
            self._change.notify_all()
        try:
            yield
        finally:
            async with self._change:
                self.followed -= 1
                self._change.notify_all()


@attrs.define(eq=False)
class Reader:
    """One client that follows."""

    answer: aiohttp.ClientResponse

    async def line(self) -> str:
        return (await asyncio.wait_for(self.answer.content.readline(), 10)).decode().rstrip("\n")

    async def rest(self) -> str:
        return (await asyncio.wait_for(self.answer.content.read(), 10)).decode()


@asynccontextmanager
async def following(world: World, query: str = "") -> AsyncIterator[Reader]:
    url = world.url(f"{PATH}?follow=true{query}")
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.get(url, ssl=world.certificate()) as answer,
    ):
        assert answer.status == 200
        yield Reader(answer)


async def test_a_log_is_what_the_provider_gives(tmp_path: Path) -> None:
    """The options are passed on as they were asked for."""
    provider = Quiet(text=b"x" * 300_000)
    async with serving(tmp_path, provider) as world:
        query = "?tailLines=0&previous=true&timestamps=true&sinceTime=2026-01-31T12:00:00Z"
        status, text = await world.call(PATH + query, tls=world.certificate())
        assert (status, text) == (200, "x" * 300_000)
        container, options = provider.asked[-1]
    assert str(container) == "default/web/app"
    assert options == LogOptions(tail_lines=0, previous=True, timestamps=True, since=START)


@pytest.mark.parametrize("container", ["app", "first"])
async def test_init_containers_have_logs_too(tmp_path: Path, container: str) -> None:
    async with serving(tmp_path) as world:
        path = f"/containerLogs/default/web/{container}"
        assert (await world.call(path, tls=world.certificate()))[0] == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/containerLogs/default/web/missing", 404),
        ("/containerLogs/default/other/app", 404),
        ("/containerLogs/other/web/app", 404),
        ("/containerLogs/default/web/..app", 404),
        (f"/containerLogs/default/{'x' * 5000}/app", 404),
        (PATH + "?tailLines=-1", 400),
        (PATH + "?follow=1&follow=1", 400),
        (PATH + "?stream=Stdout", 501),
    ],
)
async def test_what_cannot_be_given_is_refused_before_the_provider_is_asked(
    tmp_path: Path, path: str, status: int
) -> None:
    """In plain text, since an API server shows the body as it is."""
    provider = Quiet()
    async with serving(tmp_path, provider) as world:
        url, tls = world.url(path), world.certificate()
        async with world.session.get(url, ssl=tls) as answer:
            assert answer.status == status
            assert answer.content_type == "text/plain"
            assert len(await answer.text()) < 1100
    assert provider.asked == []


ENDED = {"terminated": {"exitCode": 1}}
WAITING = 'container "app" in pod "web" is waiting to start: '
NO_PREVIOUS = 'previous terminated container "app" in pod "web" not found'


@pytest.mark.field
@pytest.mark.parametrize(
    ("state", "last", "query", "text"),
    [
        ({"waiting": {"reason": "Unschedulable"}}, {}, "", WAITING + "Unschedulable"),
        ({"waiting": {"reason": "Unschedulable"}}, {}, "?follow=1", WAITING + "Unschedulable"),
        ({"waiting": {}}, {}, "", WAITING + "ContainerCreating"),
        ({"waiting": {"reason": "ErrImagePull"}}, {}, "", WAITING + "image can't be pulled"),
        ({"running": {}}, {}, "?previous=1", NO_PREVIOUS),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, ENDED, "", ""),
        ({"waiting": {"reason": "CrashLoopBackOff"}}, ENDED, "?previous=1", ""),
        ({"running": {}}, {}, "", ""),
        ({"terminated": {"exitCode": 0}}, {}, "", ""),
    ],
)
async def test_a_container_that_waits_has_no_log_and_the_answer_is_its_reason(
    tmp_path: Path, state: Any, last: Any, query: str, text: str
) -> None:
    """As a kubelet answers: 400, whose text kubectl shows."""
    async with serving(tmp_path) as world:
        status = {"name": "app", "state": state, "lastState": last}
        world.server.pods.put({**POD, "status": {"containerStatuses": [status]}})
        answer = await world.call(PATH + query, tls=world.certificate())
        assert answer == (400, text + "\n") if text else answer[0] == 200


@attrs.define(eq=False)
class Failing(Quiet):
    error: Exception = attrs.field(factory=Exception)
    late: bool = False

    async def logs(self, container: ContainerKey, options: LogOptions) -> AsyncIterator[bytes]:
        if not self.late:
            raise self.error
        async for piece in self.pieces():
            yield piece

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b""
        raise self.error


@pytest.mark.parametrize("query", ["", "?follow=true"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (vk.NotFoundError("no log yet"), 400, "no log yet\n"),
        (vk.UnsupportedError("no logs here"), 501, "no logs here\n"),
        (vk.TemporaryError("busy", retry_after=7), 500, "busy\n"),
        (vk.InvalidInputError("not so"), 400, "not so\n"),
        (vk.PermanentError("never"), 500, "never\n"),
    ],
)
async def test_what_the_provider_raises_before_the_first_byte_is_the_answer(
    tmp_path: Path, error: Exception, status: int, text: str, late: bool, query: str
) -> None:
    async with serving(tmp_path, Failing(error=error, late=late)) as world:
        assert await world.call(PATH + query, tls=world.certificate()) == (status, text)


async def test_a_silent_log_that_is_followed_is_answered_at_once(tmp_path: Path) -> None:
    """The answer waits for no line, and the call ends with its client."""
    provider = Writing()
    async with serving(tmp_path, provider) as world:
        async with following(world):
            await provider.until(1)
        await provider.until(0)


async def test_a_provider_without_logs_says_so_in_one_sentence(tmp_path: Path) -> None:
    class Silent(Quiet):
        logs = vk.Provider.logs

    async with serving(tmp_path, Silent()) as world:
        found = await world.call(PATH, tls=world.certificate())
    assert found == (501, "this provider has no logs\n")


@attrs.define(eq=False)
class Breaking(Quiet):
    async def pieces(self) -> AsyncIterator[bytes]:
        yield b"half a log\n"
        raise vk.TemporaryError("gone")


async def test_a_log_that_fails_midway_is_broken_off(tmp_path: Path) -> None:
    """No client takes half a log for a whole one, and no error text stands in it."""
    async with (
        serving(tmp_path, Breaking()) as world,
        world.session.get(world.url(PATH), ssl=world.certificate()) as answer,
    ):
        assert answer.status == 200
        assert await answer.content.readline() == b"half a log\n"
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_the_limit_of_bytes_holds_whatever_the_provider_gives(tmp_path: Path) -> None:
    async with serving(tmp_path, Quiet(text=b"0123456789")) as world:
        found = await world.call(PATH + "?limitBytes=4", tls=world.certificate())
    assert found == (200, "0123")


async def test_following_gives_what_is_there_and_what_comes_until_the_end(tmp_path: Path) -> None:
    provider = Writing()
    await provider.write("one", "two", "three")
    async with serving(tmp_path, provider) as world, following(world, "&tailLines=1") as reader:
        assert await reader.line() == "three"
        await provider.write("four")
        assert await reader.line() == "four"
        await provider.write("five")
        await provider.end()
        assert await reader.rest() == "five\n"


@pytest.mark.parametrize("follow", ["false", "true"])
@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("sinceSeconds=35000000000", "one\n"),
        ("sinceTime=0999-01-01T00:00:00Z", "one\n"),
        ("sinceTime=0001-01-01T00:00:00%2B01:00", "one\n"),
        ("sinceTime=9999-12-31T23:59:59-01:00", ""),
    ],
)
async def test_a_time_may_be_as_far_away_as_it_likes(
    tmp_path: Path, since: str, expected: str, follow: str
) -> None:
    provider = Writing(ended=True)
    await provider.write("one")
    async with serving(tmp_path, provider) as world:
        path = f"{PATH}?follow={follow}&{since}"
        assert await world.call(path, tls=world.certificate()) == (200, expected)


async def test_a_tail_of_none_gives_only_what_comes(tmp_path: Path) -> None:
    """Zero is zero, also where many lines have one time."""
    provider = Writing()
    await provider.write("one", "two", "three", second=0)
    async with serving(tmp_path, provider) as world, following(world, "&tailLines=0") as reader:
        await provider.until(1)
        await provider.write("four", second=0)
        assert await reader.line() == "four"
        await provider.end()
        assert await reader.rest() == ""


@pytest.mark.parametrize(
    ("query", "begin"),
    [
        ("", "begun "),
        ("&tailLines=1", "begun "),
        ("&tailLines=0", ""),
        ("&timestamps=true", "2026-01-31T12:00:00.000000Z begun "),
        ("&limitBytes=8", "begun "),
    ],
)
async def test_a_line_that_had_only_begun_is_followed_to_its_end(
    tmp_path: Path, query: str, begin: str
) -> None:
    """A log may hold the first part of a long line."""
    provider = Writing()
    await provider.put(b"2026-01-31T12:00:00.000000Z begun ")
    async with serving(tmp_path, provider) as world, following(world, query) as reader:
        await provider.until(1)
        await provider.put(b"ended\n")
        await provider.end()
        expected = f"{begin}ended\n"
        assert await reader.rest() == (expected[:8] if "limit" in query else expected)


async def test_a_backend_that_gives_much_at_once_outruns_no_client(tmp_path: Path) -> None:
    """Everything of the last moment is read again, and here that is more than 1 MiB."""
    provider, text = Writing(), "x" * 900_000
    await provider.write(text, text, text, second=0)
    async with serving(tmp_path, provider) as world, following(world) as reader:
        reading = asyncio.ensure_future(reader.rest())
        await provider.until(1)
        await provider.write("next", second=1)
        await provider.end()
        assert await reading == f"{text}\n" * 3 + "next\n"


@pytest.mark.parametrize("query", ["", "&tailLines=1"])
async def test_a_line_of_several_mebibytes_is_followed_once(tmp_path: Path, query: str) -> None:
    """Whatever the pieces in which a provider gives it, now and when it is asked again."""
    provider, part = Writing(), b"x" * 700_000
    await provider.put(b"2026-01-31T12:00:00.000000Z ")
    for _ in range(5):
        await provider.put(part)
    await provider.put(b"\n")
    async with serving(tmp_path, provider) as world, following(world, query) as reader:
        reading = asyncio.ensure_future(reader.rest())
        await provider.until(1)
        await provider.write("next", second=1)
        await provider.end()
        assert await reading == (part * 5).decode() + "\nnext\n"


async def test_many_followers_share_one_call(tmp_path: Path) -> None:
    """Each gets every line once, whenever it came; with times where they were requested."""
    provider = Writing()
    await provider.write("one")
    async with serving(tmp_path, provider) as world, following(world) as first:
        assert await first.line() == "one"
        await provider.until(1)
        await provider.write("two")
        assert await first.line() == "two"
        async with following(world, "&timestamps=true") as second:
            assert split_stamp((await second.line()).encode())[1] == b"one"
            assert split_stamp((await second.line()).encode())[1] == b"two"
            await provider.write("three")
            assert await first.line() == "three"
            stamp, text = split_stamp((await second.line()).encode())
            assert (text, stamp_time(stamp)) == (b"three", START + timedelta(seconds=2))
            assert provider.followed == 1
            await provider.end()
            assert (await first.rest(), await second.rest()) == ("", "")


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "beside another"])
async def test_lines_before_the_time_asked_for_are_not_shown_however_late_they_come(
    tmp_path: Path, others: int
) -> None:
    """Also where the shared call gives them, since another client wants them."""
    provider = Writing(obeys_since=False)
    since = "&sinceTime=2026-01-31T13:00:00Z"
    async with serving(tmp_path, provider) as world, AsyncExitStack() as stack:
        for _ in range(others):
            await stack.enter_async_context(following(world))
            await provider.until(1)
        reader = await stack.enter_async_context(following(world, since))
        await provider.until(1)
        await provider.write("early", second=3599)
        await provider.write("late", second=3600)
        assert await reader.line() == "late"
        await provider.end()
        assert await reader.rest() == ""


async def test_a_client_that_waits_for_a_future_time_keeps_no_line_from_others(
    tmp_path: Path,
) -> None:
    """The shared call that it has begun yields them what is written now."""
    provider = Writing()
    second = (datetime.now(UTC) - START).total_seconds()
    future = "&sinceTime=2099-01-01T00:00:00Z"
    async with serving(tmp_path, provider) as world, following(world, future) as patient:
        await provider.until(1)
        async with following(world) as other:
            await provider.write("now", second=second)
            assert await other.line() == "now"
            assert provider.followed == 1
            await provider.end()
            assert (await patient.rest(), await other.rest()) == ("", "")


async def test_the_call_ends_with_its_last_follower(tmp_path: Path) -> None:
    """And the next one starts another."""
    provider = Writing()
    await provider.write("one")
    async with serving(tmp_path, provider) as world:
        for _ in range(2):
            async with following(world) as reader:
                assert await reader.line() == "one"
                await provider.until(1)
            await provider.until(0)


@pytest.mark.slow
async def test_a_client_that_does_not_read_holds_up_no_other_and_loses_nothing(
    tmp_path: Path,
) -> None:
    """It is taken off the shared call and reads again from where it was."""
    provider = Writing()
    count, text = 500, "x" * 64_000  # more than the kernel buffers
    async with (
        serving(tmp_path, provider) as world,
        following(world) as slow,
        following(world) as quick,
    ):
        await provider.until(1)
        for number in range(count):
            await provider.write(f"{number} {text}")
            assert (await quick.line()).split()[0] == str(number)
        for number in range(count):
            assert (await slow.line()).split()[0] == str(number)
        await provider.write("last")
        assert (await slow.line(), await quick.line()) == ("last", "last")
        assert provider.followed == 1
        await provider.end()
        assert (await slow.rest(), await quick.rest()) == ("", "")
    assert any(options.since is not None and not options.follow for _, options in provider.asked)


async def test_lines_without_times_are_followed_one_call_each(tmp_path: Path) -> None:
    provider = Writing(stamped=False)
    await provider.write("one")
    async with (
        serving(tmp_path, provider) as world,
        following(world) as first,
        following(world) as second,
    ):
        assert (await first.line(), await second.line()) == ("one", "one")
        await provider.until(2)
        await provider.write("two")
        assert (await first.line(), await second.line()) == ("two", "two")
        await provider.end()
        assert (await first.rest(), await second.rest()) == ("", "")


async def test_following_ends_at_the_limit(tmp_path: Path) -> None:
    provider = Writing()
    await provider.write("one")
    async with serving(tmp_path, provider) as world, following(world, "&limitBytes=6") as reader:
        assert await reader.line() == "one"
        await provider.write("two")
        assert await reader.rest() == "tw"


async def test_a_followed_log_that_fails_is_broken_off(tmp_path: Path) -> None:
    provider = Writing()
    await provider.write("one")
    async with serving(tmp_path, provider) as world, following(world) as reader:
        assert await reader.line() == "one"
        await provider.until(1)
        await provider.end(vk.TemporaryError("backend away"))
        with pytest.raises(aiohttp.ClientPayloadError):
            await reader.rest()


async def test_only_so_many_follow_one_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follow, "MAX_FOLLOWERS", 2)
    provider = Writing()
    async with serving(tmp_path, provider) as world:
        async with following(world), following(world):
            status, text = await world.call(PATH + "?follow=1", tls=world.certificate())
            assert (status, "2 clients" in text) == (429, True)
            assert (await world.call(PATH, tls=world.certificate()))[0] == 200
        await provider.until(0)
        async with following(world):
            pass


async def test_the_end_of_the_provider_breaks_followers_off(tmp_path: Path) -> None:
    """A node that stops is not the end of the log."""
    provider = Writing()
    await provider.write("one")
    async with serving(tmp_path, provider, acting=False) as world, AsyncExitStack() as stack:
        async with world.server.serving_provider(provider, statuses):
            reader = await stack.enter_async_context(following(world))
            assert await reader.line() == "one"
            await provider.until(1)
        with pytest.raises(aiohttp.ClientPayloadError):
            await reader.rest()
        assert provider.followed == 0
