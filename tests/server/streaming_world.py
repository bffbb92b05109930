"""What the tests of streams share: a provider that does what it is told, served over TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trustme
from aiohttp import web

import vk
from vk.cluster.store import Store
from vk.models.keys import ContainerKey, PodKey
from vk.server.connections import MAX_HEADER_BYTES
from vk.server.errors import status_error_of
from vk.server.exec import ExecHandler
from vk.server.port_forward import PortForwardHandler
from vk.server.streaming_sessions import StreamingSessions
from vk.server.targets import Targets
from vk.streams import ByteStream, ExecIO

POD = {
    "metadata": {"namespace": "default", "name": "web", "uid": "u1"},
    "spec": {"containers": [{"name": "app"}]},
}
NAMES = {"namespace": "{namespace}", "pod": "{pod}", "container": "{container}"}
_AUTHORITY = trustme.CA()


@attrs.define(eq=False)
class NoStreams(vk.Provider):
    """A provider that can do nothing with streams."""

    context: Any = None

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "1", "memory": "1Gi", "pods": "10"})

    async def create_pod(self, pod: vk.Pod) -> None:
        return None

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> None:
        return None

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        return ()


@attrs.define(eq=False)
class Scripted(NoStreams):
    """Runs the commands and listens on the ports that its methods name."""

    cancelled: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set when a call was cancelled."""
    started: asyncio.Event = attrs.field(factory=asyncio.Event)
    written: int = 0
    calls: list[Any] = attrs.field(factory=list)
    go_on: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def exec(self, container: ContainerKey, command: Sequence[str], io: ExecIO) -> int | None:
        self.calls.append((str(container), tuple(command), io))
        self.started.set()
        run: Callable[..., Awaitable[int | None]] = getattr(self, f"run_{command[0]}")
        try:
            return await run(io, *command[1:])
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def attach(self, container: ContainerKey, io: ExecIO) -> None:
        await self.run_cat(io)

    async def port_forward(self, key: PodKey, port: int, stream: ByteStream) -> None:
        self.calls.append((str(key), port))
        self.started.set()
        serve: Callable[..., Awaitable[None]] = getattr(self, f"port_{port}")
        try:
            await serve(stream)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def run_cat(self, io: ExecIO) -> int:
        assert io.stdin is not None and io.stdout is not None
        while piece := await io.stdin.read():
            await io.stdout.write(piece)
        return 0

    async def run_both(self, io: ExecIO) -> int:
        assert io.stdout is not None and io.stderr is not None
        await io.stdout.write(b"out")
        await io.stderr.write(b"err")
        return 0

    async def run_exit(self, io: ExecIO, code: str) -> int | None:
        return None if code == "unknown" else int(code)

    async def run_fail(self, io: ExecIO, kind: str) -> int:
        errors = {
            "missing": vk.NotFoundError("container app is not running"),
            "later": vk.TemporaryError("the backend is busy"),
            "bug": RuntimeError("password=hunter2"),
            "reset": ConnectionResetError("backend of password=hunter2"),
        }
        raise errors[kind]

    async def run_hang(self, io: ExecIO) -> int:
        await asyncio.Event().wait()
        return 0

    async def run_yes(self, io: ExecIO, size: str = "1000000000") -> int:
        """Write indefinitely, or ``size`` bytes."""
        assert io.stdout is not None
        while self.written < int(size):
            await io.stdout.write(b"y" * 32768)
            self.written += 32768
        return 0

    async def run_deaf(self, io: ExecIO) -> int:
        """Read nothing until told to, then count."""
        await self.go_on.wait()
        assert io.stdin is not None and io.stdout is not None
        size = 0
        while piece := await io.stdin.read():
            size += len(piece)
        await io.stdout.write(str(size).encode())
        return 0

    async def run_sizes(self, io: ExecIO, count: str) -> int:
        assert io.stdout is not None
        seen = 0
        async for size in io.sizes():
            await io.stdout.write(f"{size.width}x{size.height} ".encode())
            seen += 1
            if seen == int(count):
                break
        return 0

    async def port_80(self, stream: ByteStream) -> None:
        """Echo."""
        while piece := await stream.read():
            await stream.write(piece)
        await stream.write_eof()

    async def port_81(self, stream: ByteStream) -> None:
        raise vk.TemporaryError("nothing listens on port 81")

    async def port_82(self, stream: ByteStream) -> None:
        """Speak first, a MiB, and end."""
        await stream.write(b"m" * (1 << 20))
        await stream.write_eof()
        while await stream.read():
            pass

    async def port_83(self, stream: ByteStream) -> None:
        """Answer after the client has ended its side."""
        size = 0
        while piece := await stream.read():
            size += len(piece)
        await stream.write(f"{size} bytes".encode())

    async def port_84(self, stream: ByteStream) -> None:
        await asyncio.Event().wait()

    async def port_85(self, stream: ByteStream) -> None:
        """Never read, always write."""
        while True:
            await stream.write(b"z" * 65536)
            self.written += 65536


@web.middleware
async def answer_refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer as `vk.server.app` does."""
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 # whatever is raised is answered
        return status_error_of(error, request.path).response()


@attrs.frozen
class Served:
    """A running server."""

    port: int
    sessions: StreamingSessions
    provider: Scripted
    tls: ssl.SSLContext
    """For clients."""
    pods: Store
    """The API server's pods of the node."""


@asynccontextmanager
async def served(
    provider: vk.Provider | None = None, *, host: str = "127.0.0.1", **limits: float
) -> AsyncIterator[Served]:
    """Serve the streaming routes for pod ``default/web`` with container ``app``."""
    provider = Scripted() if provider is None else provider
    store = Store()
    store.put(POD)
    targets = Targets(store, acting=lambda: True)
    sessions = StreamingSessions(**({"idle_timeout": 3600.0} | limits))
    execs = ExecHandler(provider, targets, sessions)
    forward = PortForwardHandler(provider, targets, sessions)
    app = web.Application(middlewares=[answer_refusals])
    pod = "/{namespace}/{pod}"
    for method in ("GET", "POST"):
        app.router.add_route(method, f"/exec{pod}/{{container}}", execs.exec)
        app.router.add_route(method, f"/exec{pod}/{{uid}}/{{container}}", execs.exec)
        app.router.add_route(method, f"/attach{pod}/{{container}}", execs.attach)
        app.router.add_route(method, f"/portForward{pod}", forward.port_forward)
        app.router.add_route(method, f"/run{pod}/{{container}}", execs.run)
    runner = web.AppRunner(
        app,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=1.0,
        max_line_size=MAX_HEADER_BYTES,
    )
    await runner.setup()
    context, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    _AUTHORITY.issue_cert(host).configure_cert(context)
    _AUTHORITY.configure_trust(client)
    await web.TCPSite(runner, host, 0, ssl_context=context).start()
    try:
        yield Served(runner.addresses[0][1], sessions, provider, client, store)  # type: ignore[arg-type] # NoStreams serves refusals only
    finally:
        await sessions.close()
        await runner.cleanup()
