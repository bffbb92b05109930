"""Starts an emulator: in this process (`serve`) or in a child process (`start`)."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import aiohttp
import attrs
import orjson

from vk_providers.alibabacloud.emulator.server import listening
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings, VSwitch

__all__ = ["RunningEmulator", "arguments", "serve", "start"]

_PATIENCE = 30.0
_URL = re.compile(r"http://[0-9.]+:[0-9]+")


@attrs.frozen(eq=False)
class RunningEmulator:
    """A running emulator: its URL, settings, and the control API as methods.

    Methods raise ValueError with the emulator's message for invalid input.
    """

    url: str
    settings: EmulatorSettings
    pid: int | None
    """PID of its process; None: this process."""
    _session: aiohttp.ClientSession

    async def ledger(self) -> dict[str, Any]:
        """Return every call and every group; see docs/eci-emulator.md."""
        found: dict[str, Any] = await self._ask("GET", "ledger")
        return found

    async def set_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace the faults; without arguments: no faults."""
        await self._ask("PUT", "faults", {"faults": faults})

    async def region(self) -> dict[str, Any]:
        """Return stock, free addresses and quota."""
        found: dict[str, Any] = await self._ask("GET", "region")
        return found

    async def set_region(self, **changes: Any) -> None:
        """Set ``stock`` by zone, ``addresses`` by vSwitch, or ``quota_cpu``."""
        await self._ask("PUT", "region", changes)

    async def reclaim(self, id: str) -> None:
        """Reclaim a spot group: notice now, Expired three minutes (of the service) later."""
        await self._ask("POST", "reclaim", {"id": id})

    async def delete(self, id: str) -> None:
        """Delete a group from outside; the ledger contains no call for it."""
        await self._ask("POST", "delete", {"id": id})

    async def expire_credentials(self) -> None:
        """Expire all temporary credentials."""
        await self._ask("POST", "expire-credentials")

    async def _ask(self, method: str, path: str, document: Any = None) -> Any:
        body = None if document is None else orjson.dumps(document)
        url = f"{self.url}/emulator/{path}"
        async with self._session.request(method, url, data=body) as response:
            answer = orjson.loads(await response.read())
            if response.status != 200:
                raise ValueError(answer["error"])
            return answer


@asynccontextmanager
async def serve(
    settings: EmulatorSettings | None = None, *, port: int = 0
) -> AsyncIterator[RunningEmulator]:
    """Run an emulator in this process, on any free port unless one is given."""
    settings = settings or EmulatorSettings()
    async with listening(settings, port) as server, aiohttp.ClientSession() as session:
        yield RunningEmulator(server.url, settings, None, session)


@asynccontextmanager
async def start(
    settings: EmulatorSettings | None = None, *, port: int = 0
) -> AsyncIterator[RunningEmulator]:
    """Run an emulator in a child process; it ends with the context or with this process.

    Raises RuntimeError where it does not start.
    """
    settings = settings or EmulatorSettings()
    module = __package__ or ""
    command = [sys.executable, "-m", module, f"--port={port}", "--stop-at-eof"]
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            *command,
            *arguments(settings),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        stack.push_async_callback(_end, process)
        assert process.stdout is not None
        line = ""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                line = (await process.stdout.readline()).decode()
        found = _URL.search(line)
        if found is None:
            raise RuntimeError("the emulator did not print its URL")
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield RunningEmulator(found[0], settings, process.pid, session)


def arguments(settings: EmulatorSettings) -> Sequence[str]:
    """Return the command-line options of these settings."""
    usual = EmulatorSettings(region=settings.region)
    options = list[str]()
    for field in attrs.fields(EmulatorSettings):
        value = getattr(settings, field.name)
        flag = "--" + field.name.replace("_", "-")
        if field.name == "vswitches":
            same = value == usual.vswitches
            options += [] if same else [f"--vswitch={_vswitch(each)}" for each in value]
        elif value != getattr(usual, field.name) or field.name == "region":
            options.append(_option(flag, value))
    return options


def _option(flag: str, value: Any) -> str:
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    return f"{flag}={value}"


def _vswitch(vswitch: VSwitch) -> str:
    end = "" if vswitch.addresses is None else f":{vswitch.addresses}"
    return f"{vswitch.id}:{vswitch.zone}:{vswitch.cidr}{end}"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()
