"""docs/security.md says what the code does: its tables are compared with it."""

from __future__ import annotations

import re
from pathlib import Path

from vk.server import connection_limits as limits
from vk.server import connections, log_follow
from vk.server.routes import ROUTES
from vk.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()


def test_every_route_is_in_the_table_with_the_right_that_it_needs() -> None:
    rows = re.findall(r"^\| `(/[^`]+)` \| (\w+) \| ([\w, ]+) \|$", PAGE, re.MULTILINE)
    assert rows == [
        (route.path, route.verb(route.methods[0]), ", ".join(route.subresources))
        for route in ROUTES
    ]


def test_the_limits_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|`]+?) \| (\d[^|]*?) \|$", PAGE, re.MULTILINE))
    idle = Settings(provider="mock").stream_idle_timeout
    assert rows == {
        "connections in total": str(limits.MAX_CONNECTIONS),
        "unauthenticated connections of one address": str(limits.MAX_UNAUTHENTICATED),
        "handshake": f"{connections.HANDSHAKE_TIMEOUT:g} s",
        "first byte of a request": f"{connections.FIRST_BYTE_TIMEOUT:g} s",
        "headers of a request": (
            f"{connections.HEADERS_TIMEOUT:g} s, {connections.MAX_HEADER_BYTES // 1024} KiB"
        ),
        "the rest of an unread request body": f"{connections.LINGER_TIMEOUT:g} s",
        "a stalled write": f"{connections.STALL_TIMEOUT:g} s",
        "an exec, attach or port-forward whose streams are not opened": "30 s",
        "the same, idle": f"{idle / 3600:g} h (`--stream-idle-timeout`)",
        "followers of one container's log": f"{log_follow.MAX_FOLLOWERS}, on one shared reader",
    }
