"""The HTTP server: one port for the API, the metadata service, exec sessions and the control API.

``GET|POST /`` is the RPC API of all products; see docs/eci-emulator.md for the other paths.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate
from urllib.parse import parse_qsl

import attrs
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from vk_providers.alibabacloud.emulator.acs3 import Acs3Signature, parameters_of, signature_of
from vk_providers.alibabacloud.emulator.actions import ACTIONS
from vk_providers.alibabacloud.emulator.cloud import Cloud
from vk_providers.alibabacloud.emulator.control_api import ControlApi
from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid
from vk_providers.alibabacloud.emulator.exec import EmulatedExecSession
from vk_providers.alibabacloud.emulator.instance_metadata import MetadataService
from vk_providers.alibabacloud.emulator.rpc import AdmittedCall, ApiResponse, Rpc
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

__all__ = ["EmulatorServer", "listening"]

log = logging.getLogger(__name__)

_LARGEST = 16 * 1024 * 1024
"""Maximum bytes of a request: 20 volumes of files, encoded twice, are 2 MB."""
_LOOPBACK = "127.0.0.1"
_SHUTDOWN_TIMEOUT = 0.2


@attrs.define(eq=False)
class EmulatorServer:
    """Handles all requests."""

    cloud: Cloud
    rpc: Rpc
    control: ControlApi
    machine: MetadataService
    url: str = ""

    @classmethod
    def of(cls, cloud: Cloud) -> EmulatorServer:
        """Return the server of a cloud."""
        return cls(cloud, Rpc(cloud, ACTIONS), ControlApi(cloud), MetadataService(cloud))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Handle one request."""
        if request.path.startswith("/emulator"):
            body = await request.read()
            return _response(self.control.answer(request.method, request.path, body))
        if request.path.startswith("/latest/"):
            return _response(self.machine.answer(request.method, request.path, request.headers))
        if request.path == "/exec/":
            return await self._exec(request)
        if request.path == "/":
            response = await self._call(request)
            response.headers["Date"] = formatdate(self.cloud.timeline.now(), usegmt=True)
            return response
        return web.Response(status=404, text="unknown path\n")

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            parameters, signature = await _signed(request)
        except EciApiError as refusal:
            return _response(self.rpc.refused(refusal))
        begun = self.rpc.begin(request.method, parameters, self.url, signature)
        answer = await self._answer(begun) if isinstance(begun, AdmittedCall) else begun
        if answer.dropped:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        return _response(answer)

    async def _exec(self, request: web.BaseRequest) -> web.StreamResponse:
        timeline = self.cloud.timeline
        ticket = self.cloud.sessions.redeem(request.query.get("s", ""), timeline.now())
        if ticket is None or not ticket.alive:
            return web.Response(status=403, text="the session is unknown, used or expired\n")
        socket = web.WebSocketResponse()
        if not socket.can_prepare(request):
            return web.Response(status=400, text="expected a WebSocket\n")
        await socket.prepare(request)
        await EmulatedExecSession(ticket, socket, timeline, self.cloud.settings.exec_status).run()
        return socket

    async def _answer(self, admitted: AdmittedCall) -> ApiResponse:
        fault = admitted.call.fault
        if fault is not None and fault.kind == "delay" and fault.done is False:
            await asyncio.sleep(fault.seconds)
            later = attrs.evolve(admitted.call, now=self.cloud.timeline.now())
            return self.rpc.perform(attrs.evolve(admitted, call=later))
        answer = self.rpc.perform(admitted)
        await asyncio.sleep(answer.late)
        return answer


async def _signed(request: web.BaseRequest) -> tuple[Mapping[str, str], Acs3Signature | None]:
    """Return the parameters of query and form, and a signature that is in headers, if any.

    Raises `EciApiError` where a name comes twice or the signature is incomplete.
    """
    query = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    body = await request.read() if request.method == "POST" else b""
    form = parse_qsl(body.decode("utf-8", "surrogateescape"), keep_blank_values=True)
    parameters = _once_each(query + form)
    if "authorization" not in request.headers:
        return parameters, None
    headers = {name.lower(): value for name, value in request.headers.items()}
    signature = signature_of(request.method, request.path, query, headers, body)
    return {**parameters, **parameters_of(headers)}, signature


def _once_each(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise invalid(twice, "expected it once")
    return parameters


def _response(answer: ApiResponse) -> web.Response:
    return web.Response(
        status=answer.status, body=answer.body, headers={"Content-Type": answer.content_type}
    )


@asynccontextmanager
async def listening(settings: EmulatorSettings, port: int = 0) -> AsyncIterator[EmulatorServer]:
    """Serve on a port of the loopback interface, 0: any; see `EmulatorServer.url`.

    Time starts with the wall clock and continues with the event loop's clock, so that a simulated
    loop time applies to the emulator too.
    """
    loop = asyncio.get_running_loop()
    epoch = time.time() - loop.time() + settings.skew
    server = EmulatorServer.of(Cloud(settings, lambda: epoch + loop.time()))
    runner = web.ServerRunner(
        web.Server(server.handle, request_factory=_request, access_log=None),
        shutdown_timeout=_SHUTDOWN_TIMEOUT,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, _LOOPBACK, port).start()
        server.url = f"http://{_LOOPBACK}:{runner.addresses[0][1]}"
        yield server
    finally:
        await runner.cleanup()


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=_LARGEST)
