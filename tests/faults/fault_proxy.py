"""An API server's bad day: forwards requests to the real one, and spoils them as a seed decides.

``python fault_proxy.py --target URL --authority FILE --certificate FILE --key FILE --port N --seed
N --seconds N`` serves until it is ended. The weather changes every few seconds, is quiet between
two storms and after ``--seconds``, and is printed. Watches and other requests go the same way; what
a storm does to each is in `STORMS`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import ssl
import sys
import time

import aiohttp
from aiohttp import web

STORMS = (
    "partition",  # connections are cut, and nothing is answered
    "silence",  # connections stay, and nothing is answered
    "error",  # 500, 503 or 504 for most requests
    "throttle",  # 429 with Retry-After for half of the requests
    "lost",  # requests take effect, and a third of the answers is cut off
    "slow",  # answers come after 1 to 8 s
    "late",  # requests take effect after 1 to 8 s
    "cut",  # watches end after a second, often in the middle of a line
    "frozen",  # watches stay open and silent, and are cut when the storm is over
    "expired",  # watches answer 410 and must be listed anew
)
GONE = {
    "type": "ERROR",
    "object": {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "reason": "Expired",
        "message": "too old resource version",
        "code": 410,
    },
}


class Weather:
    """What storm there is now, by the seed."""

    def __init__(self, seed: int, seconds: float) -> None:
        self.random = random.Random(seed)
        self.seconds = seconds
        self.storm = ""
        self.changed = asyncio.Event()
        """Set when the storm of this moment is over."""

    async def run(self) -> None:
        """Change the weather until the time is over; then it is quiet."""
        began = time.monotonic()
        while time.monotonic() - began < self.seconds:
            self.storm = self.random.choice(STORMS)
            print(f"{time.time():.3f} {self.storm}", flush=True)
            await asyncio.sleep(self.random.uniform(1.0, 7.0))
            self.storm = ""
            self.changed.set()
            self.changed = asyncio.Event()
            await asyncio.sleep(self.random.uniform(0.2, 3.0))
        print(f"{time.time():.3f} quiet", flush=True)


class Proxy:
    """Forwards requests with the caller's own token."""

    def __init__(self, target: str, session: aiohttp.ClientSession, weather: Weather) -> None:
        self.target, self.session, self.weather = target, session, weather

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward one request, or do to it what the storm of this moment does."""
        storm, chance = self.weather.storm, self.weather.random.random
        body = await request.read()
        if storm == "partition":
            return _cut(request)
        if storm == "silence":
            await self.weather.changed.wait()
            return _cut(request)
        if storm == "error" and chance() < 0.7:
            return web.Response(status=self.weather.random.choice((500, 503, 504)), text="storm")
        if storm == "throttle" and chance() < 0.5:
            return web.Response(status=429, headers={"Retry-After": "1"}, text="storm")
        if storm == "late":
            await asyncio.sleep(self.weather.random.uniform(1.0, 8.0))
        watch = request.query.get("watch") in ("1", "true")
        if watch and storm == "expired":
            return web.Response(text=json.dumps(GONE) + "\n", content_type="application/json")
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("host", "content-length", "connection", "accept-encoding")
        }
        url = self.target + request.raw_path
        async with self.session.request(
            request.method, url, data=body or None, headers=headers
        ) as answer:
            if watch:
                return await self._watch(request, answer)
            content = await answer.read()
        if storm == "lost" and chance() < 0.33:
            return _cut(request)
        if storm == "slow":
            await asyncio.sleep(self.weather.random.uniform(1.0, 8.0))
        kept = {name: answer.headers[name] for name in ("Content-Type",) if name in answer.headers}
        return web.Response(status=answer.status, body=content, headers=kept)

    async def _watch(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status)
        response.content_type = "application/json"
        await response.prepare(request)
        began = time.monotonic()
        while True:
            try:
                async with asyncio.timeout(0.25):
                    piece = await answer.content.readany()
            except TimeoutError:
                piece = None
            if self.weather.storm == "partition":
                return _cut(request, response)
            if self.weather.storm == "cut" and time.monotonic() - began > 1.0:
                with contextlib.suppress(ConnectionError):
                    await response.write((piece or b"")[: len(piece or b"") // 2])
                return _cut(request, response)
            if self.weather.storm == "frozen":
                await self.weather.changed.wait()
                return _cut(request, response)
            if piece is None:
                continue
            if not piece:
                return response
            try:
                await response.write(piece)
            except ConnectionError:  # the client has gone
                return response


def _cut(request: web.Request, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection without an answer, or in the middle of one."""
    if request.transport is not None:
        request.transport.abort()
    return response or web.Response(status=500)


async def serve(arguments: argparse.Namespace) -> None:
    """Serve until cancelled."""
    weather = Weather(arguments.seed, arguments.seconds)
    trusted = ssl.create_default_context(cafile=arguments.authority)
    connector = aiohttp.TCPConnector(limit=0, ssl=trusted)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        app = web.Application(client_max_size=0)
        proxy = Proxy(arguments.target, session, weather)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        own.load_cert_chain(arguments.certificate, arguments.key)
        site = web.TCPSite(runner, "127.0.0.1", arguments.port, ssl_context=own)
        await site.start()
        print("serving", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # the storms begin with a line, or its end
        await weather.run()
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("target", "authority", "certificate", "key"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    asyncio.run(serve(parser.parse_args()))
