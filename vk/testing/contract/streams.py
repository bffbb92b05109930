"""Rules of exec, attach and port-forward, and of honest answers where there is none of them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from vk.errors import ProviderError, UnsupportedError
from vk.models.keys import ContainerKey
from vk.models.pod import Pod
from vk.testing.contract.base import CONTAINER, Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.clients import ClientInput, ExecClient, ForwardedConnection
from vk.testing.contract.leftovers import break_off_everywhere
from vk.testing.contract.rule import require, rule

__all__ = ["Streams"]

_EVERY_BYTE = bytes(range(256)) * 1024
_MOMENT = 0.5
_PORT = 64_999


class Streams(Base):
    """What runs while a client is connected."""

    @rule
    async def test_exec_gives_the_exit_code(self, bench: Bench) -> None:
        """The exit code is the command's; None where it is not known, never another one."""
        pod = await self.running(bench)
        for code in (0, 7):
            command = ["sh", "-c", f"exit {code}"]
            given = await _exec(bench, pod, command, ExecClient())
            require(given in (code, None), f"exit {code} gives {given!r}")

    @rule
    async def test_streams_refuse_unknown_containers(self, bench: Bench) -> None:
        """exec and attach to a container that the pod does not have raise an error of vk."""
        pod = await self.running(bench)
        nowhere = ContainerKey(pod.key, "nowhere")
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "exec": lambda: bench.provider.exec(nowhere, ["sh", "-c", "exit 0"], ExecClient()),
            "attach": lambda: bench.provider.attach(nowhere, ExecClient()),
        }
        for name, call in calls.items():
            try:
                async with asyncio.timeout(bench.patience):
                    answer = await call()
            except ProviderError:
                continue
            require(False, f"{name} to a container that is not there returned {answer!r}")

    @rule
    async def test_exec_has_a_terminal_only_where_it_asked_for_one(self, bench: Bench) -> None:
        """Without ``io.tty`` a command's output is no terminal: `kubectl cp` sends files so."""
        if not self.runs_scripts:
            pytest.skip("a simulator: nothing is run")
        pod, client = await self.running(bench), ExecClient()
        await _exec(bench, pod, ["sh", "-c", "test -t 1 && echo terminal || echo none"], client)
        got = bytes(client.stdout.received)
        require(got == b"none\n", f"a command that asked for no terminal finds: {got!r}")

    @rule
    async def test_exec_passes_stdin_to_the_byte(self, bench: Bench) -> None:
        """What goes into ``cat`` comes out of it: 256 KiB with every byte value."""
        pod = await self.running(bench)
        client = ExecClient(ClientInput(_EVERY_BYTE))
        await _exec(bench, pod, ["cat"], client)
        got = bytes(client.stdout.received)
        text = f"{len(_EVERY_BYTE)} bytes went in, {len(got)} came out"
        require(got == _EVERY_BYTE, text if len(got) != len(_EVERY_BYTE) else f"{text}, changed")

    @rule
    async def test_exec_keeps_errors_apart_from_output(self, bench: Bench) -> None:
        """Without a terminal stdout and stderr are two streams."""
        if not self.runs_scripts:
            pytest.skip("a simulator: nothing is run")
        pod, client = await self.running(bench), ExecClient()
        await _exec(bench, pod, ["sh", "-c", "echo out; echo wrong >&2"], client)
        got = (bytes(client.stdout.received), bytes(client.stderr.received))
        require(got == (b"out\n", b"wrong\n"), f"stdout and stderr are {got}")

    @rule
    async def test_exec_may_be_broken_off_anywhere(self, bench: Bench) -> None:
        """A command whose client leaves, at any await, ends and leaves no task."""
        pod = await self.running(bench)
        await _may_be_broken_off(
            bench, lambda: _exec(bench, pod, ["cat"], ExecClient(ClientInput(b"x", stays=True)))
        )

    @rule
    async def test_attach_may_be_broken_off_anywhere(self, bench: Bench) -> None:
        """An attach whose client leaves, at any await, ends and leaves no task."""
        pod = await self.running(bench)
        await _may_be_broken_off(bench, functools.partial(_attach, bench, pod))

    @rule
    async def test_port_forward_may_be_broken_off_anywhere(self, bench: Bench) -> None:
        """A connection whose client leaves, at any await, ends and leaves no task."""
        pod = await self.running(bench)

        async def forward() -> None:
            stream = ForwardedConnection(ClientInput(b"GET / HTTP/1.0\r\n\r\n", stays=True))
            await bench.provider.port_forward(pod.key, _PORT, stream)

        await _may_be_broken_off(bench, forward)

    @rule
    async def test_attach_lasts_as_long_as_the_container(self, bench: Bench) -> None:
        """attach does not return while the container runs and the client is there."""
        pod = await self.running(bench)
        with suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT):
                try:
                    await _attach(bench, pod)
                except UnsupportedError:
                    return
                require(False, "attach returned at once, and the container runs")

    @rule
    async def test_what_is_not_there_says_so(self, bench: Bench) -> None:
        """An optional method does what it says or raises an error of vk, such as UnsupportedError.

        Success for what was not done misleads everybody; any other exception counts as an unknown
        outcome.
        """
        pod = await self.running(bench)
        provider = bench.provider
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "update_pod": lambda: provider.update_pod(pod, {"spec.containers"}),
            "update_files": lambda: provider.update_files(pod.key, "nothing", {}),
            "get_pods": lambda: provider.get_pods([pod.key]),
            "logs": lambda: bench.log(pod),
            "exec": lambda: _run(bench, pod, ["sh", "-c", "exit 0"], ExecClient()),
            "attach": lambda: _attach(bench, pod),
            "port_forward": lambda: provider.port_forward(
                pod.key, _PORT, ForwardedConnection(ClientInput())
            ),
            "stats": provider.stats,
        }
        for name, call in calls.items():
            try:
                async with asyncio.timeout(_MOMENT * 4):
                    await call()
            except (ProviderError, TimeoutError):
                continue
            except Exception as error:  # noqa: BLE001 # foreign code: anything may come
                require(False, f"{name} raises {type(error).__name__}: {error}")


async def _run(bench: Bench, pod: Pod, command: list[str], client: ExecClient) -> int | None:
    key = ContainerKey(pod.key, CONTAINER)
    return await bench.call("exec", bench.provider.exec(key, command, client))


async def _exec(bench: Bench, pod: Pod, command: list[str], client: ExecClient) -> int | None:
    """Run a command; skips where the provider cannot."""
    try:
        return await _run(bench, pod, command, client)
    except UnsupportedError:
        pytest.skip("this provider has no exec")


async def _attach(bench: Bench, pod: Pod) -> None:
    client = ExecClient(ClientInput(stays=True))
    await bench.provider.attach(ContainerKey(pod.key, CONTAINER), client)


async def _may_be_broken_off(bench: Bench, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
    with suppress(ProviderError):  # there is nothing to break off
        await break_off_everywhere(call, patience=bench.patience)
