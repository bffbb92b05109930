"""What `vk dev` shows: a line a change, or a table that stays current."""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import pytest
from terminal import Terminal

from vk.cli.dev.display import LineDisplay, Screen, show
from vk.devcluster.kinds import KINDS
from vk.devcluster.storage.storage import Storage

Json = dict[str, Any]
POD, NODE, SECRET = (
    next(kind for kind in KINDS if kind.name == name) for name in ("Pod", "Node", "Secret")
)
NOW = "2026-01-01T00:00:00Z"


def pod(name: str = "nginx", phase: str = "Pending", *, ready: bool = True, **more: Any) -> Json:
    running = {"state": {"running": {"startedAt": NOW}}, "ready": ready}
    status: Json = {"phase": phase, **more}
    if phase == "Running":
        status["podIP"] = "10.200.0.1"
        status["podIPs"] = [{"ip": "10.200.0.1"}]
        status["containerStatuses"] = [{"name": "main", "restartCount": 0, **running}]
    return {
        "metadata": {"name": name, "namespace": "default", "uid": name, "creationTimestamp": NOW},
        "spec": {"nodeName": "vk-dev", "containers": [{"name": "main", "image": "nginx"}]},
        "status": status,
    }


def node(status: str | None) -> Json:
    conditions = [{"type": "Ready", "status": status}] if status else []
    return {
        "metadata": {"name": "vk-dev", "uid": "n", "creationTimestamp": NOW, "labels": {}},
        "spec": {},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": "v1.36.0"}},
    }


def refused(message: str) -> Json:
    condition = {"type": "PodScheduled", "status": "False", "message": message}
    return pod(conditions=[condition])


def lines_of(storage: Storage) -> tuple[LineDisplay, io.StringIO]:
    out = io.StringIO()
    lines = LineDisplay(out)
    storage.observers.append(lines.observe)
    return lines, out


def told(out: io.StringIO) -> list[str]:
    """Return the lines without the time that each begins with."""
    found = out.getvalue().splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in found)
    return [line[9:] for line in found]


def test_a_pod_on_its_way_is_a_line_a_change() -> None:
    storage = Storage()
    _, out = lines_of(storage)
    storage.create(POD, pod())
    storage.update(POD, pod(phase="Running", ready=False))
    storage.update(POD, pod(phase="Running"))
    storage.remove(POD, "default", "nginx")
    assert told(out) == [
        "pod default/nginx Pending",
        "pod default/nginx Pending -> Running, 0/1 ready (10.200.0.1 on vk-dev)",
        "pod default/nginx Running, 0/1 ready -> Running (10.200.0.1 on vk-dev)",
        "pod default/nginx deleted",
    ]


def test_what_nobody_would_notice_is_no_line() -> None:
    storage = Storage()
    _, out = lines_of(storage)
    storage.create(POD, pod(phase="Running"))
    changed = pod(phase="Running")
    changed["metadata"]["labels"] = {"a": "b"}
    storage.update(POD, changed)
    storage.create(SECRET, {"metadata": {"name": "s", "namespace": "default", "uid": "s"}})
    assert told(out) == ["pod default/nginx Running (10.200.0.1 on vk-dev)"]


def test_the_reason_why_a_pod_waits_is_shown_again_only_when_it_changes() -> None:
    storage = Storage()
    _, out = lines_of(storage)
    storage.create(POD, refused("0/1 nodes are available"))
    storage.update(POD, refused("0/1 nodes are available"))
    storage.update(POD, refused("no nodes\x1b[31m available"))
    assert told(out) == [
        "pod default/nginx Pending: 0/1 nodes are available",
        "pod default/nginx Pending: no nodes [31m available",
    ]


def test_a_node_is_shown_once_it_has_conditions() -> None:
    storage = Storage()
    _, out = lines_of(storage)
    storage.create(NODE, node(None))
    storage.update(NODE, node("True"))
    storage.update(NODE, node("False"))
    assert told(out) == ["node vk-dev Ready", "node vk-dev Ready -> NotReady"]


def test_a_message_stands_on_a_line_of_its_own() -> None:
    lines, out = lines_of(Storage())
    lines.print("two\nlines")
    assert out.getvalue() == "two\nlines\n"


@pytest.mark.parametrize(("terminal", "term", "kind"), [
    (True, "xterm", Screen), (True, "dumb", LineDisplay), (False, "xterm", LineDisplay),
])  # fmt: skip
def test_only_a_terminal_gets_the_table(
    terminal: bool, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    storage = Storage()
    with show(storage, Terminal() if terminal else io.StringIO()) as display:
        assert isinstance(display, kind)
        assert len(storage.observers) == 1
    assert storage.observers == []


@pytest.fixture
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "20")


async def drawn(screen: Screen, seconds: float) -> None:
    """Let the screen draw for a while, and once at its end."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await screen.run()


@pytest.mark.usefixtures("size")
@pytest.mark.looptime
async def test_the_table_stays_below_messages_and_is_replaced_by_the_next() -> None:
    storage, terminal = Storage(), Terminal()
    screen = Screen(terminal, storage)
    storage.observers.append(screen.observe)
    screen.print("hello\n")
    await drawn(screen, 0.5)
    assert "no pods yet" in terminal.screen
    storage.create(NODE, node("True"))
    storage.create(POD, pod())
    await drawn(screen, 0.5)
    screen.print("a warning")
    storage.update(POD, pod(phase="Running"))
    await drawn(screen, 0.5)
    shown = [line.split() for line in terminal.screen.splitlines()]
    assert shown[:3] == [["hello"], ["a", "warning"], []]
    assert [row for row in shown if row[:1] == ["NAME"]] == [
        ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    ]
    (row,) = (row for row in shown if row[:1] == ["default"])
    assert row[:5] == ["default", "nginx", "1/1", "Running", "0"]
    assert row[-2:] == ["10.200.0.1", "vk-dev"]
    assert "no pods yet" not in terminal.screen


@pytest.mark.usefixtures("size")
@pytest.mark.looptime
async def test_a_burst_of_changes_is_drawn_a_few_times_a_second() -> None:
    storage, terminal = Storage(), Terminal()
    screen = Screen(terminal, storage)
    storage.observers.append(screen.observe)
    written: list[str] = []
    terminal.write = lambda text: written.append(text) or len(text)  # type: ignore[method-assign,func-returns-value] # counts what is drawn

    async def change() -> None:
        storage.create(POD, pod())
        for _ in range(1000):
            storage.update(POD, pod())
            await asyncio.sleep(0.002)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(change())
        tasks.create_task(drawn(screen, 2.0))
    assert 5 <= len(written) <= 15


@pytest.mark.usefixtures("size")
@pytest.mark.looptime
async def test_of_more_pods_than_fit_those_that_changed_last_are_shown() -> None:
    storage, terminal = Storage(), Terminal()
    screen = Screen(terminal, storage)
    for number in range(100):
        storage.create(POD, pod(f"pod-{number:03}"))
    storage.update(POD, pod("pod-007", phase="Running"))
    await drawn(screen, 0.5)
    lines = terminal.screen.splitlines()
    assert len(lines) <= 20
    assert any("pod-007" in line for line in lines)
    assert not any("pod-008" in line for line in lines)
    shown = sum("default" in line for line in lines)
    assert f"and {100 - shown} more pods" in lines


@pytest.mark.usefixtures("size")
@pytest.mark.looptime
async def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    storage, terminal = Storage(), Terminal()
    storage.create(POD, pod("a" * 60, phase="Running"))
    await drawn(Screen(terminal, storage), 0.5)
    assert max(map(len, terminal.screen.splitlines())) < 30
