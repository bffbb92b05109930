"""Providers whose logs or streams break one rule each; they join `wrong_providers.WRONG`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

import attrs
from toy_backend import Workload
from toy_provider import ToyProvider
from wrong_providers import breaks

import vk


@breaks("logs_refuse_unknown_containers")
class LogsOfAnything(ToyProvider):
    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        try:
            async for piece in super().logs(container, options):
                yield piece
        except vk.NotFoundError:
            if options.previous:
                raise
            yield b"nothing"


@breaks("a_log_is_all_that_was_written")
class DropsALine(ToyProvider):
    async def read(self, workload: Workload, options: vk.LogOptions) -> AsyncIterator[bytes]:
        workload.script = workload.script.replace("echo two; ", "")
        async for piece in super().read(workload, options):
            yield piece


@breaks("a_followed_log_goes_on_and_ends_with_the_container")
class DoesNotFollow(ToyProvider):
    async def read(self, workload: Workload, options: vk.LogOptions) -> AsyncIterator[bytes]:
        async for piece in super().read(workload, attrs.evolve(options, follow=False)):
            yield piece


@breaks("a_followed_log_goes_on_and_ends_with_the_container 2")
class NeverEndsTheFollowedLog(ToyProvider):
    async def read(self, workload: Workload, options: vk.LogOptions) -> AsyncIterator[bytes]:
        async for piece in super().read(workload, options):
            yield piece
        if options.follow:
            await asyncio.Event().wait()


@breaks("logs_may_be_broken_off_anywhere")
class LeavesAReader(ToyProvider):
    async def read(self, workload: Workload, options: vk.LogOptions) -> AsyncIterator[bytes]:
        if options.follow:
            self.__dict__["reader"] = asyncio.ensure_future(asyncio.sleep(3600))
        async for piece in super().read(workload, options):
            yield piece


class Without(ToyProvider):
    """Ignores one option of logs."""

    ignored = ""

    async def logs(
        self, container: vk.ContainerKey, options: vk.LogOptions
    ) -> AsyncIterator[bytes]:
        default = getattr(vk.LogOptions(), self.ignored)
        wanted = attrs.evolve(options, **{self.ignored: default})
        async for piece in super().logs(container, wanted):
            yield piece


@breaks("tail_lines_are_the_last_ones")
class WithoutTail(Without):
    ignored = "tail_lines"


@breaks("limit_bytes_is_a_limit")
class WithoutLimit(Without):
    ignored = "limit_bytes"


@breaks("since_leaves_out_what_is_older")
class WithoutSince(Without):
    ignored = "since"


@breaks("timestamps_begin_each_line")
class WithoutTimestamps(Without):
    ignored = "timestamps"


@breaks("a_previous_log_is_no_other_runs")
class WithoutPrevious(Without):
    ignored = "previous"


@breaks("exec_gives_the_exit_code")
class AlwaysSucceeds(ToyProvider):
    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        await super().exec(container, command, io)
        return 0


@breaks("exec_passes_stdin_to_the_byte")
class ReadsText(ToyProvider):
    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        if command[0] != "cat" or io.stdin is None or io.stdout is None:
            return await super().exec(container, command, io)
        while data := await io.stdin.read():
            await io.stdout.write(data.decode(errors="replace").encode())
        return 0


@breaks("exec_keeps_errors_apart_from_output")
class MixesOutput(ToyProvider):
    async def write_output(self, io: vk.ExecIO) -> None:
        if io.stdout:
            await io.stdout.write(b"out\nwrong\n")


@breaks("exec_may_be_broken_off_anywhere")
class IgnoresCancellation(ToyProvider):
    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        try:
            return await super().exec(container, command, io)
        except asyncio.CancelledError:
            return 130


@breaks("attach_may_be_broken_off_anywhere")
class LeavesATask(ToyProvider):
    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        self.__dict__["pump"] = asyncio.ensure_future(asyncio.sleep(3600))
        await super().attach(container, io)


@breaks("port_forward_may_be_broken_off_anywhere")
class KeepsForwarding(ToyProvider):
    async def port_forward(self, key: vk.PodKey, port: int, stream: vk.ByteStream) -> None:
        try:
            await super().port_forward(key, port, stream)
        except asyncio.CancelledError:
            return


@breaks("attach_lasts_as_long_as_the_container")
class AttachReturnsAtOnce(ToyProvider):
    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        await self.get(container)


@breaks("what_is_not_there_says_so")
class RaisesNotImplementedError(ToyProvider):
    async def update_pod(self, pod: vk.Pod, changed: Collection[str]) -> vk.PodStatus | None:
        raise NotImplementedError


@breaks("streams_refuse_unknown_containers")
class TakesAnyContainer(ToyProvider):
    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        return await super().exec(vk.ContainerKey(container.pod, "main"), command, io)


@breaks("streams_refuse_unknown_containers 2")
class AttachesToAnyContainer(ToyProvider):
    async def attach(self, container: vk.ContainerKey, io: vk.ExecIO) -> None:
        if container.name == "main":
            await super().attach(container, io)


@breaks("exec_has_a_terminal_only_where_it_asked_for_one")
class AlwaysATerminal(ToyProvider):
    async def exec(
        self, container: vk.ContainerKey, command: Sequence[str], io: vk.ExecIO
    ) -> int | None:
        if "-t 1" in command[-1] and io.stdout:
            await io.stdout.write(b"terminal\r\n")
            return 0
        return await super().exec(container, command, io)
