"""``python -m vk_providers.alibabacloud.emulator``: the emulator as a process of its own.

Prints one line with its URL once it listens. SIGTERM and SIGINT end it at once with exit code 0.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable
from typing import Any

import attrs
import click

from vk_providers.alibabacloud.emulator.server import listening
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings, VSwitch

__all__ = ["command"]

_STDIN = 0
_VSWITCH = re.compile(r"(vsw-[A-Za-z0-9-]+):([a-z0-9-]+)(?::([0-9./]+))?(?::([0-9]+))?")


def _vswitches(_: Any, __: Any, texts: tuple[str, ...]) -> tuple[VSwitch, ...]:
    found = list[VSwitch]()
    for number, text in enumerate(texts):
        parts = _VSWITCH.fullmatch(text)
        if parts is None:
            raise click.BadParameter(f"expected ID:ZONE[:CIDR[:ADDRESSES]], found {text!r}")
        cidr = parts[3] or f"172.{16 + number}.0.0/18"
        addresses = int(parts[4]) if parts[4] else None
        found.append(VSwitch(id=parts[1], zone=parts[2], cidr=cidr, addresses=addresses))
    return tuple(found)


def _options(function: Callable[..., None]) -> Callable[..., None]:
    """Add an option for each setting to a command."""
    for field in reversed(attrs.fields(EmulatorSettings)):
        if "help" in field.metadata:
            name = field.name.replace("_", "-")
            flag = f"--{name}/--no-{name}" if isinstance(field.default, bool) else f"--{name}"
            kind = int if field.name == "seed" else type(field.default)
            function = click.option(
                flag,
                type=None if kind is bool else kind,
                default=field.default,
                show_default=True,
                help=field.metadata["help"],
            )(function)
    return function


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=0,
    help="Port on 127.0.0.1; 0 is any that is free.",
)
@click.option("--stop-at-eof", is_flag=True, help="Exit at EOF of stdin.")
@click.option(
    "--vswitch",
    "vswitches",
    multiple=True,
    callback=_vswitches,
    help="ID:ZONE[:CIDR[:ADDRESSES]], once for each vSwitch; by default three.",
)
@_options
def command(port: int, stop_at_eof: bool, vswitches: tuple[VSwitch, ...], **values: Any) -> None:
    """Emulate Alibaba Cloud ECI on this machine, without an account."""
    if vswitches:
        values["vswitches"] = vswitches
    try:
        settings = EmulatorSettings(**values)
        asyncio.run(_run(settings, port, stop_at_eof=stop_at_eof))
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from None


async def _run(settings: EmulatorSettings, port: int, *, stop_at_eof: bool) -> None:
    """Serve until a signal, or until the end of the standard input."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, end.set)
    async with listening(settings, port) as server:
        if stop_at_eof:
            loop.add_reader(_STDIN, lambda: None if os.read(_STDIN, 4096) else end.set())
        click.echo(f"emulating ECI at {server.url}")
        await end.wait()


if __name__ == "__main__":
    command()
