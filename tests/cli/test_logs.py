"""Log lines: JSON where there is no terminal, text on a terminal."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from vk import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_holds_the_extras() -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    logging.getLogger("vk.x").info("pod created", extra={"pod": "a/b", "count": 2})
    line = json.loads(stream.getvalue())
    assert line.pop("time")
    assert line == {
        "level": "INFO", "logger": "vk.x", "message": "pod created", "pod": "a/b", "count": 2
    }  # fmt: skip


def test_text_quotes_what_is_not_one_word() -> None:
    stream = Terminal()
    logs.configure("info", stream)
    logging.getLogger("vk.x").info("pod created", extra={"pod": "a/b", "error": 'x "y"\nfake'})
    assert stream.getvalue().endswith(' INFO    pod created pod=a/b error="x \\"y\\"\\nfake"\n')


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("trace", 4), ("debug", 4), ("info", 3), ("warn", 2), ("warning", 2), ("error", 1),
        ("fatal", 0), ("panic", 0),
    ],
)  # fmt: skip
def test_levels_of_the_go_program(level: str, shown: int) -> None:
    stream = io.StringIO()
    logs.configure(level, stream)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("vk.x").log(number, "line")
    assert len(stream.getvalue().splitlines()) == shown


def test_an_unknown_level_lists_the_known() -> None:
    with pytest.raises(ValueError, match="expected one of trace, debug"):
        logs.configure("loud", io.StringIO())


def test_the_client_library_logs_no_bodies_at_debug() -> None:
    logs.configure("debug", io.StringIO())
    assert not logging.getLogger("kubernetes_asyncio.client.rest").isEnabledFor(logging.DEBUG)
