"""The connection to a supervisor: requests and responses, notifications, frames of sessions.

It runs no task: input is handled as it arrives, and output is bounded by the credit of the sessions
and by the pending requests.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import attrs

import vk
from vk_providers.process.supervisor import frames
from vk_providers.process.supervisor_session import SupervisorDisconnected

__all__ = ["SupervisorConnection"]

_ANSWER_TIMEOUT = 10.0

Message = dict[str, Any]


@attrs.define(eq=False)
class SupervisorConnection(asyncio.Protocol):
    """Implements `protocol`; ``on_frame`` gets kind, channel and content of a frame."""

    _on_note: Callable[[Message], None]
    _on_frame: Callable[[int, int, bytes], None]
    _on_lost: Callable[[], None]
    _frames: frames.Frames = attrs.field(factory=frames.Frames, init=False)
    _transport: asyncio.Transport | None = attrs.field(default=None, init=False)
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1), init=False)
    _answers: dict[int, asyncio.Future[Message]] = attrs.field(factory=dict, init=False)

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""
        return self._transport is None

    def number(self) -> int:
        """Return an unused number, for a channel."""
        return next(self._numbers)

    def send(self, content: bytes) -> None:
        """Send whole frames; without a connection they are dropped."""
        if self._transport is not None:
            self._transport.write(content)

    def send_request(self, request: Message) -> None:
        """Send a request without waiting for its response."""
        self.send(frames.json_frame({"id": self.number(), **request}))

    async def request(self, request: Message) -> Message:
        """Send a request and return its response.

        Raises SupervisorDisconnected without a connection, TemporaryError for an error response or
        after 10 s.
        """
        if self.closed:
            raise SupervisorDisconnected("the supervisor is not connected")
        number = self.number()
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self.send(frames.json_frame({"id": number, **request}))
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                message = await answer
        except TimeoutError as error:
            raise vk.TemporaryError("the supervisor did not respond in time") from error
        finally:
            self._answers.pop(number, None)
        if "error" in message:
            raise vk.TemporaryError(message["error"])
        result: Message = message["answer"]
        return result

    def close(self) -> None:
        """Close the connection; pending requests raise SupervisorDisconnected."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.close()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(
                    SupervisorDisconnected("the connection to the supervisor was lost")
                )
        self._on_lost()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, content: bytes) -> None:
        """Handle frames from the supervisor."""
        for kind, channel, body in self._frames.feed(content):
            if kind == frames.JSON:
                self._take(json.loads(body))
            else:
                self._on_frame(kind, channel, body)

    def connection_lost(self, error: Exception | None) -> None:
        """Close the connection."""
        self.close()

    def _take(self, message: Message) -> None:
        if "note" in message:
            self._on_note(message)
            return
        answer = self._answers.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)
