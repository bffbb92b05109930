"""``/containerLogs``: the log of one container, as the provider yields it.

In: the route and query. Out: a chunked answer of plain text. The first piece is read before the
answer begins, so what the provider raises until then is an HTTP error; what it raises later aborts
the connection, so that no client takes half a log for a whole one, and no error text stands in a
log. With ``follow`` `vk.server.log_follow` reads it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs
from aiohttp import web

from vk.aio.transports import abort
from vk.errors import InvalidInputError, UnsupportedError
from vk.models.keys import ContainerKey
from vk.models.logs import LogOptions
from vk.models.time import parse_time
from vk.provider import Provider
from vk.server.errors import status_error_of
from vk.server.log_follow import LogFollowers, closing, next_piece
from vk.server.targets import Targets

__all__ = ["LogHandler", "log_options"]

log = logging.getLogger(__name__)

_PART = 1 << 18
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
_BOOLEANS = dict.fromkeys(("", "1", "t", "true"), True) | dict.fromkeys(("0", "f", "false"), False)
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_LARGEST = (1 << 63) - 1
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# No line is older; earlier times may have no year of four digits, or none in UTC.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_STREAMS = {"All": None, "Stdout": "stdout", "Stderr": "stderr"}
_KNOWN = (
    *("follow", "previous", "timestamps", "tailLines", "tail", "limitBytes"),
    *("sinceSeconds", "sinceTime", "stream"),
)


@attrs.define(eq=False)
class LogHandler:
    """Answers requests for logs."""

    provider: Provider
    targets: Targets
    followers: LogFollowers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request. Raises StatusError and what the provider raises."""
        query = {name: request.query.getall(name) for name in request.query}
        options = log_options(query, datetime.now(UTC))
        names = request.match_info
        container = self.targets.container(names["namespace"], names["pod"], names["container"])
        self.targets.check_log(container, previous=options.previous)
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
            log.debug("log client disconnected", extra={"container": str(container)})
        except Exception as error:  # noqa: BLE001 # too late for an error: see the module
            _abort(request, container, error)
        finally:
            await follower.close()
        return answer

    async def _read(
        self, request: web.Request, container: ContainerKey, options: LogOptions
    ) -> web.StreamResponse:
        left = options.limit_bytes
        async with closing(self.provider.logs(container, options)) as pieces:
            piece = await next_piece(pieces)  # what it raises is still an HTTP error
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
                log.debug("log client disconnected", extra={"container": str(container)})
            except Exception as error:  # noqa: BLE001 # too late for an error: see the module
                _abort(request, container, error)
        return answer


async def _write(answer: web.StreamResponse, data: bytes) -> None:
    """Write in parts: a client that does not read is noticed between two of them only."""
    for start in range(0, len(data), _PART):
        await answer.write(data[start : start + _PART])


def _abort(request: web.Request, container: ContainerKey, error: Exception) -> None:
    status = status_error_of(error, f"log of {container}")
    extra = {"container": str(container), "error": status.message}
    log.warning("log aborted", extra=extra)
    if request.transport is not None:
        abort(request.transport)


def log_options(query: Mapping[str, Sequence[str]], now: datetime) -> LogOptions:
    """Return the options in ``query``, checked as the kubelet does.

    ``sinceSeconds`` counts back from ``now``. Booleans are those of Go; an empty value is true, as
    in ``?follow``. Unknown parameters are ignored, since newer API servers may send some. Raises
    InvalidInputError, which names the parameter.
    """
    given = {name: _one(name, values) for name, values in query.items() if name in _KNOWN}
    tail = given.get("tailLines", given.get("tail"))
    stream = _stream(given.get("stream"))
    if stream is not None and tail is not None:
        raise InvalidInputError("tailLines: expected no stream beside it")
    return LogOptions(
        follow=_switch("follow", given),
        previous=_switch("previous", given),
        timestamps=_switch("timestamps", given),
        tail_lines=None if tail is None or tail == "all" else _number("tailLines", tail, least=0),
        limit_bytes=_number("limitBytes", given.get("limitBytes"), least=1),
        since=_since(given, now),
        stream=stream,
    )


def _one(name: str, values: Sequence[str]) -> str:
    if len(values) != 1:
        raise InvalidInputError(f"{name}: expected one value, not {len(values)}")
    return values[0]


def _switch(name: str, given: Mapping[str, str]) -> bool:
    if name not in given:
        return False
    value = _BOOLEANS.get(given[name].lower())
    if value is None:
        raise InvalidInputError(f"{name}: expected true or false")
    return value


def _number(name: str, text: str | None, *, least: int) -> int | None:
    if text is None:
        return None
    value = int(text) if _NUMBER.fullmatch(text) else None
    if value is None or not least <= value <= _LARGEST:
        raise InvalidInputError(f"{name}: expected an integer, {least} or more")
    return value


def _since(given: Mapping[str, str], now: datetime) -> datetime | None:
    seconds = _number("sinceSeconds", given.get("sinceSeconds"), least=1)
    text = given.get("sinceTime")
    if seconds is not None and text is not None:
        raise InvalidInputError("sinceSeconds, sinceTime: expected one of them at most")
    if text is not None:
        moment = parse_time(text.upper()) if _TIME.fullmatch(text) else None
        if moment is None:
            raise InvalidInputError("sinceTime: expected a time such as 2026-01-31T12:00:00Z")
        return min(max(moment, _EARLIEST), _LATEST)
    if seconds is None:
        return None
    try:
        return max(now - timedelta(seconds=seconds), _EARLIEST)
    except OverflowError:
        return _EARLIEST


def _stream(text: str | None) -> str | None:
    if text is None:
        return None
    if text not in _STREAMS:
        raise InvalidInputError("stream: expected All, Stdout or Stderr")
    return _STREAMS[text]
