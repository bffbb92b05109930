"""The query of ``/containerLogs``, checked as the kubelet does. Pure; used by `vk.server.logs`.

Every complaint names the parameter. Switches are those of Go's programs; an empty value means yes,
as in ``?follow``. Unknown parameters are left alone, since newer API servers may send some.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from vk.errors import InvalidInputError
from vk.models.logs import LogOptions
from vk.models.time import parse_time

__all__ = ["log_options"]

_WORDS = dict.fromkeys(("", "1", "t", "true"), True) | dict.fromkeys(("0", "f", "false"), False)
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}", re.ASCII)
_LARGEST = (1 << 63) - 1
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
# No line is older, and earlier ones have no text of four digits, or none in UTC.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_STREAMS = {"All": None, "Stdout": "stdout", "Stderr": "stderr"}
_KNOWN = (
    *("follow", "previous", "timestamps", "tailLines", "tail", "limitBytes"),
    *("sinceSeconds", "sinceTime", "stream"),
)


def log_options(query: Mapping[str, Sequence[str]], now: datetime) -> LogOptions:
    """Return what ``query`` asks for; ``now`` is what ``sinceSeconds`` counts back from.

    Raises InvalidInputError.
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
    word = _WORDS.get(given[name].lower())
    if word is None:
        raise InvalidInputError(f"{name}: expected true or false")
    return word


def _number(name: str, text: str | None, *, least: int) -> int | None:
    if text is None:
        return None
    value = int(text) if _NUMBER.fullmatch(text) else None
    if value is None or not least <= value <= _LARGEST:
        raise InvalidInputError(f"{name}: expected a whole number, {least} or more")
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
