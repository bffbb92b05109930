"""A connection to the API server under test, made from a kubeconfig of its administrator.

Comes in: the kubeconfig file. Goes out: `request`, and `watch`, which gives a `Stream` of events.
One session presents the administrator's certificate; the other presents none, for anonymous
requests and for bearer tokens. `runner.py` is the caller.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import yaml

__all__ = ["Answer", "Connection", "Stream", "connect"]

LIMIT = aiohttp.ClientTimeout(total=30)


@attrs.frozen
class Answer:
    """What came back: the body parsed where it is JSON, else its text."""

    code: int
    headers: Mapping[str, list[str]]
    """By lower-case name; a header may come more than once."""
    body: Any


@attrs.define
class Stream:
    """An open watch."""

    response: aiohttp.ClientResponse

    async def next(self) -> dict[str, Any] | None:
        """Return the next event, None at the end; raises TimeoutError after the session's limit."""
        line = await self.response.content.readline()
        return json.loads(line) if line.strip() else None

    def close(self) -> None:
        """Drop the connection."""
        self.response.close()


@attrs.frozen
class Connection:
    """Sends requests to one API server."""

    url: str
    _certified: aiohttp.ClientSession
    _bare: aiohttp.ClientSession

    async def request(
        self, method: str, path: str, *, user: str, headers: Mapping[str, str], body: bytes | None
    ) -> Answer:
        """Send one request as ``user`` and return the whole answer."""
        async with await self._send(method, path, user, headers, body) as response:
            content = await response.read()
            return Answer(response.status, _headers(response), _parsed(content))

    async def watch(
        self, path: str, *, user: str, headers: Mapping[str, str]
    ) -> tuple[Answer, Stream | None]:
        """Open a watch; a refusal comes back as an answer without a stream."""
        response = await self._send("GET", path, user, headers, None)
        if response.status != 200:
            async with response:
                body = _parsed(await response.read())
                return Answer(response.status, _headers(response), body), None
        return Answer(200, _headers(response), None), Stream(response)

    async def _send(
        self, method: str, path: str, user: str, headers: Mapping[str, str], body: bytes | None
    ) -> aiohttp.ClientResponse:
        session = self._certified if user == "admin" else self._bare
        sent = dict(headers)
        if user not in ("admin", "anonymous"):
            sent["Authorization"] = f"Bearer {user}"
        data = io.BytesIO(body) if body is not None else None  # aiohttp warns of large bytes
        return await session.request(method, self.url + path, headers=sent, data=data)


@contextlib.asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Connection]:
    """Connect as the user of ``kubeconfig``, whose files may be named or lie in it as base64."""
    cluster, user = _sections(kubeconfig)
    with tempfile.TemporaryDirectory() as folder:
        authority = _file(cluster, "certificate-authority", Path(folder))
        bare = ssl.create_default_context(cafile=authority)
        certified = ssl.create_default_context(cafile=authority)
        certified.load_cert_chain(
            _file(user, "client-certificate", Path(folder)), _file(user, "client-key", Path(folder))
        )
    async with _session(certified) as one, _session(bare) as other:
        yield Connection(cluster["server"], one, other)


def _sections(kubeconfig: Path) -> tuple[dict[str, str], dict[str, str]]:
    config = yaml.safe_load(kubeconfig.read_text())
    return config["clusters"][0]["cluster"], config["users"][0]["user"]


def _session(context: ssl.SSLContext) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=context)
    return aiohttp.ClientSession(
        connector=connector, timeout=LIMIT, skip_auto_headers=("Content-Type",)
    )


def _file(section: Mapping[str, str], name: str, folder: Path) -> Path:
    if f"{name}-data" not in section:
        return Path(section[name])
    path = folder / name
    path.write_bytes(base64.b64decode(section[f"{name}-data"]))
    return path


def _headers(response: aiohttp.ClientResponse) -> dict[str, list[str]]:
    return {name.lower(): response.headers.getall(name) for name in response.headers}


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode(errors="replace")
