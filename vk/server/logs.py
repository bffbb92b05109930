"""``/containerLogs``: the log of one container, as the provider gives it.

In: the route and query. Out: a chunked answer of plain text. What must be refused is refused before
the answer begins; what goes wrong after that ends the connection without a proper end, so that no
client takes half a log for a whole one, and no text of ours stands in a log.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import attrs
from aiohttp import web

from vk.errors import UnsupportedError
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.provider import Provider
from vk.server.errors import refusal_of
from vk.server.log_follow import Followers
from vk.server.log_query import log_options
from vk.server.shared_reader import closing, next_piece
from vk.server.targets import Targets

__all__ = ["Logs"]

log = logging.getLogger(__name__)

_PART = 1 << 18
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}


@attrs.define(eq=False)
class Logs:
    """Answers requests for logs."""

    provider: Provider
    targets: Targets
    followers: Followers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Raises Refusal and what the provider raises."""
        query = {name: request.query.getall(name) for name in request.query}
        options = log_options(query, datetime.now(UTC))
        names = request.match_info
        container = self.targets.container(names["namespace"], names["pod"], names["container"])
        if options.stream is not None and not self.provider.splits_logs:
            raise UnsupportedError("this provider cannot give one stream of a log alone")
        if options.follow and not options.previous:
            return await self._follow(request, container, options)
        return await self._read(request, container, attrs.evolve(options, follow=False))

    async def _follow(
        self, request: web.Request, container: ContainerKey, options: LogOptions
    ) -> web.StreamResponse:
        follower = await self.followers.open(container, options)
        answer = web.StreamResponse(headers=_PLAIN)
        try:
            await answer.prepare(request)
            await follower.send(lambda data: _write(answer, data))
            await answer.write_eof()
        except ConnectionError:
            log.debug("client of a log has gone", extra={"container": str(container)})
        except Exception as error:  # noqa: BLE001 # the answer has begun: see the module
            _break_off(request, container, error)
        finally:
            await follower.close()
        return answer

    async def _read(
        self, request: web.Request, container: ContainerKey, options: LogOptions
    ) -> web.StreamResponse:
        left = options.limit_bytes
        async with closing(self.provider.logs(container, options)) as pieces:
            piece = await next_piece(pieces)  # an error of it can still be answered
            answer = web.StreamResponse(headers=_PLAIN)
            await answer.prepare(request)
            try:
                while piece is not None:
                    await _write(answer, piece if left is None else piece[:left])
                    if left is not None and (left := left - len(piece)) <= 0:
                        break
                    piece = await next_piece(pieces)
                await answer.write_eof()
            except ConnectionError:
                log.debug("client of a log has gone", extra={"container": str(container)})
            except Exception as error:  # noqa: BLE001 # the answer has begun: see the module
                _break_off(request, container, error)
        return answer


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    """Write in parts: a client that does not read is noticed between two of them only."""
    for start in range(0, len(data), _PART):
        await answer.write(data[start : start + _PART])


def _break_off(request: web.Request, container: ContainerKey, error: Exception) -> None:
    refusal = refusal_of(error, f"log of {container}")
    extra = {"container": str(container), "error": refusal.message}
    log.warning("log broken off", extra=extra)
    if request.transport is not None:
        request.transport.abort()
