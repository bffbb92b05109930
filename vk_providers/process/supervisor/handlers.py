"""The handlers of probes and lifecycle hooks: exec, httpGet, tcpSocket and sleep.

In: a `Handler` of the plan. Out: whether it succeeded, and a message. Host names are resolved in a
child process, since getaddrinfo would block the supervisor.
"""

from __future__ import annotations

import os
import sys

from .children import exit_code_of
from .container_process import command_of
from .loop import TaskCancelled
from .network import connect, get
from .pipes import OutputReader
from .spawn import Command, StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children
    from .loop import EventLoop
    from .namespaces import ContainerNamespaces
    from .plan import ContainerPlanJson, Handler, HTTPGetAction, TCPSocketAction

__all__ = ["HandlerRunner"]

_MOST = 10 * 1024
"""Maximum bytes of a command's output that are kept."""

_LOOK_UP = (
    "import socket, sys\n"
    "found = socket.getaddrinfo(sys.argv[1], 0, type=socket.SOCK_STREAM)\n"
    "print(found[0][4][0], end='')"
)


class HandlerRunner:
    """Runs the handlers of one container."""

    def __init__(self, loop: EventLoop, children: Children, plan: ContainerPlanJson) -> None:
        self._loop = loop
        self._children = children
        self._plan = plan

    async def perform(
        self, action: Handler, namespaces: ContainerNamespaces | None, timeout: float
    ) -> tuple[bool, str]:
        """Run a handler; a command runs in ``namespaces``. Return success and a message.

        A handler that takes longer than ``timeout`` seconds is ended and fails.
        """
        task = self._loop.task(self._act(action, namespaces))
        try:
            if await self._loop.within(task, timeout):
                worked, text = task.value
                return bool(worked), str(text)
        finally:
            task.cancel()
            await task
        return False, f"timed out after {timeout:g} s"

    async def _act(
        self, action: Handler, namespaces: ContainerNamespaces | None
    ) -> tuple[bool, str]:
        try:
            if "exec" in action:
                return await self._command(command_of(self._plan, action["exec"], namespaces))
            if "http" in action:
                return await self._http(action["http"])
            if "tcp" in action:
                return await self._tcp(action["tcp"])
        except StartError as error:
            return False, str(error)
        except (OSError, ValueError) as error:
            return False, getattr(error, "strerror", None) or str(error)
        await self._loop.sleep(action["sleep"])
        return True, ""

    async def _http(self, http: HTTPGetAction) -> tuple[bool, str]:
        status, _ = await get(self._loop, await self._address(http["host"]), http)
        return 200 <= status < 400, f"HTTP probe failed with statuscode: {status}"

    async def _tcp(self, tcp: TCPSocketAction) -> tuple[bool, str]:
        (await connect(self._loop, await self._address(tcp["host"]), tcp["port"])).close()
        return True, ""

    async def _address(self, host: str) -> str:
        """Resolve ``host`` to a numeric address; raises OSError."""
        if ":" in host or host.replace(".", "").isdigit():
            return host
        argv = [sys.executable, "-I", "-S", "-c", _LOOK_UP, host]
        found, text = await self._command(Command(argv, env={}, cwd="/"))
        if not found:
            raise OSError(f"no address for host {host!r}")
        return text

    async def _command(self, command: Command) -> tuple[bool, str]:
        """Run a command; return whether it exited with 0, and the start of its output."""
        output = bytearray()
        read_end, write_end = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            streams = (nothing, write_end, write_end)
            child = self._children.start(self._plan["name"], command, streams)
        except StartError:
            os.close(read_end)
            raise
        finally:
            os.close(nothing)
            os.close(write_end)
        os.set_blocking(read_end, False)
        outlet = OutputReader(
            self._loop,
            read_end,
            room=lambda: _MOST,
            take=lambda chunk: output.extend(chunk[: _MOST - len(output)]),
        )
        try:
            status = await child.exited
        except TaskCancelled:
            self._children.kill_command(child)
            outlet.close()
            raise
        outlet.finish()
        self._children.release(child, terminal=False)
        return exit_code_of(status)[0] == 0, output.decode(errors="replace")
