"""The frame around every session: read beside the talk, end with the client, close in any case.

In: a connection and what is to be said on it. Out: a closed connection. Called by exec, attach and
port-forward, over SPDY and over WebSocket alike.

Surprising: after a talk over SPDY the client closes, not the server: whoever closes with bytes
unread makes the kernel throw away what it has still to deliver. A client that stays all the same is
given 10 s after it has read everything. A WebSocket has a handshake for its end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

from vk.streaming.session import End, Ended, Lifetime

__all__ = ["Connection", "converse"]

_LINGER = 10.0
_GOODBYE = 2.0


class Connection(Protocol):
    """A `SpdyConnection` or `ChannelConnection`."""

    client_closes: ClassVar[bool]
    """Whether it is the client who closes after the talk."""

    async def run(self) -> None:
        """Read until the client is gone."""
        ...

    async def settle(self) -> None:
        """Return once the client has read everything. Raises ConnectionError."""
        ...

    async def close(self) -> None:
        """Close, in a time that does not depend on the client."""
        ...


Talk = Callable[[], Awaitable[None]]
Farewell = Callable[[End], Awaitable[None]]


async def converse(
    connection: Connection, lifetime: Lifetime, talk: Talk, farewell: Farewell
) -> None:
    """Run ``talk`` while the client is there and ``lifetime`` lasts; then close.

    ``talk`` is cancelled when either ends; where the client is still there, ``farewell`` then tells
    it why, in 2 s at most. Cancelling this closes the connection at once.
    """
    try:
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(connection.run())
            reading.add_done_callback(lambda _: lifetime.end(End.CLIENT_GONE))
            try:
                async with lifetime.limit():
                    await talk()
            except Ended as ended:
                if ended.reason is not End.CLIENT_GONE:
                    await _part(farewell, ended.reason)
            except ConnectionError:
                pass  # the client has gone
            else:
                await _linger(connection, lifetime, reading)
            reading.cancel()
    finally:
        await connection.close()


async def _linger(connection: Connection, lifetime: Lifetime, reading: asyncio.Task[None]) -> None:
    try:
        async with lifetime.limit():
            await connection.settle()
            if connection.client_closes:
                await asyncio.wait({reading}, timeout=_LINGER)
    except (ConnectionError, Ended):
        pass  # the client has read what it wanted


async def _part(farewell: Farewell, reason: End) -> None:
    try:
        async with asyncio.timeout(_GOODBYE):
            await farewell(reason)
    except (ConnectionError, TimeoutError):
        pass  # it does not read, or has gone now
