"""Logging of the process: text on a terminal, one JSON object a line elsewhere.

Modules log constant messages with values in ``extra``; this writes those as ``key=value`` or as
JSON keys. Called once by `vk.cli`; a program that embeds a node configures logging itself.
"""

from __future__ import annotations

import json
import logging
from typing import IO

__all__ = ["configure"]

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
# These log bodies and headers, secrets among them, at debug, or every request at info.
_QUIET = ("kubernetes_asyncio", "httpx", "httpcore", "urllib3")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TIME = "%Y-%m-%dT%H:%M:%S"


def configure(level: str, stream: IO[str]) -> None:
    """Send every log line of ``level`` (a name of the Go program's) and above to ``stream``.

    May be called again; the last call counts. Raises ValueError for an unknown level.
    """
    threshold = _LEVELS.get(level.lower())
    if threshold is None:
        raise ValueError(f"log level: expected one of {', '.join(_LEVELS)}, not {level!r}")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter() if stream.isatty() else _json_formatter())
    logging.basicConfig(level=threshold, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _json_formatter() -> logging.Formatter:
    from pythonjsonlogger.orjson import OrjsonFormatter  # only where lines are JSON

    return OrjsonFormatter(
        "%(asctime)s %(levelname)s %(name)s %(message)s",
        datefmt=_TIME + "%z",
        rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        json_default=str,
    )


class _TextFormatter(logging.Formatter):
    """``time level message key=value``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", _TIME)

    def formatMessage(self, record: logging.LogRecord) -> str:
        extras = vars(record).items()
        pairs = [f" {key}={_quoted(value)}" for key, value in extras if key not in _STANDARD]
        return super().formatMessage(record) + "".join(pairs)


def _quoted(value: object) -> str:
    """Quote what would not read as one word, so that no value can fake another or a line."""
    text = str(value)
    plain = text and text.isprintable() and not any(c in ' ="' for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
