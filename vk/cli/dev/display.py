"""The display of `vk dev`: a table of nodes and pods that stays current, or a line a change.

In: the changes of the storage, as they are written. Out: text. On a terminal the table is redrawn
in place, at most a few times a second, below other messages; anywhere else each change that
a person would notice is one line. The words are those of kubectl's own columns.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import attrs

from vk.devcluster.kinds import KINDS, Kind
from vk.devcluster.storage.storage import Change, Storage, parse
from vk.devcluster.tables.table import table
from vk.models.api_object import condition_of, status_of

__all__ = ["LineDisplay", "Screen", "show"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

_PAUSE = 0.2  # s between two drawings: what a person can follow
_TICK = 1.0  # s after which ages are drawn anew
_COLUMNS = {
    "Node": ("Name", "Status", "Roles", "Age", "Version"),
    "Pod": ("Namespace", "Name", "Ready", "Status", "Restarts", "Age", "IP", "Node"),
}
_KINDS = {kind.name: kind for kind in KINDS if kind.name in _COLUMNS}


@attrs.frozen
class _State:
    """The state of one object as shown: a change of it is a line."""

    word: str
    detail: str = ""

    def since(self, before: _State | None) -> str:
        moved = before is not None and before.word != self.word
        word = f"{before.word} -> {self.word}" if before and moved else self.word
        return word + self.detail


@attrs.define(eq=False)
class LineDisplay:
    """Writes one line for each change: ``12:00:01 pod default/nginx Pending -> Running (...)``."""

    out: TextIO
    _states: dict[tuple[str, str], _State] = attrs.field(factory=dict, init=False)

    def print(self, text: str) -> None:
        """Write ``text`` on lines of its own."""
        self.out.write(text + "\n")
        self.out.flush()

    def observe(self, kind: Kind, change: Change) -> None:
        """Take a change; the storage calls it."""
        if kind.name not in _COLUMNS:
            return
        try:
            self._print_change(kind, change)
        except Exception:  # what cannot be shown must still be stored
            log.exception("change not shown", extra={"object": change.entry.key})

    def _print_change(self, kind: Kind, change: Change) -> None:
        key, name = (kind.name, change.entry.key), f"{kind.name.lower()} {change.entry.key}"
        before = self._states.get(key)
        if change.type == "DELETED":
            self._states.pop(key, None)
            self._line(f"{name} deleted")
            return
        state = _STATES[kind.name](parse(kind, change.entry))
        if state is not None and state != before:
            self._states[key] = state
            self._line(f"{name} {state.since(before)}")

    async def run(self) -> None:
        """Everything is written as it happens: wait."""
        await asyncio.get_running_loop().create_future()

    def _line(self, text: str) -> None:
        plain = "".join(char if char.isprintable() else " " for char in text)
        self.print(f"{datetime.now():%H:%M:%S} {plain}")


@attrs.define(eq=False)
class Screen:
    """Keeps a table of nodes and pods at the bottom of a terminal."""

    out: TextIO
    storage: Storage
    _changed: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _drawn: int = attrs.field(default=0, init=False)
    """Lines on the terminal that the next drawing replaces."""

    def print(self, text: str) -> None:
        """Write ``text`` above the table."""
        self._draw(above=text.splitlines())

    def observe(self, kind: Kind, change: Change) -> None:
        """Take a change; the storage calls it."""
        if kind.name in _COLUMNS:
            self._changed.set()

    async def run(self) -> None:
        """Draw until cancelled, and once more at the end, so that the last state stays."""
        try:
            while True:
                self._changed.clear()
                self._draw()
                await asyncio.sleep(_PAUSE)
                await _wait(self._changed, _TICK)
        finally:
            self._draw()

    def _draw(self, above: Sequence[str] = ()) -> None:
        width, height = shutil.get_terminal_size()
        lines = _tables(self.storage, height - 2)
        up = f"\x1b[{self._drawn}A" if self._drawn else ""
        cut = [line[: width - 1] for line in lines]
        self.out.write(f"\r{up}\x1b[J" + "".join(line + "\n" for line in (*above, *cut)))
        self.out.flush()
        self._drawn = len(cut)


@contextmanager
def show(storage: Storage, out: TextIO) -> Iterator[LineDisplay | Screen]:
    """Yield the display of the storage's nodes and pods on ``out``; the caller runs it."""
    dumb = not out.isatty() or os.environ.get("TERM") == "dumb"
    display = LineDisplay(out) if dumb else Screen(out, storage)
    storage.observers.append(display.observe)
    try:
        yield display
    finally:
        storage.observers.remove(display.observe)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _tables(storage: Storage, height: int) -> list[str]:
    """Return the lines of both tables; of many pods those that changed last."""
    nodes = _rows("Node", storage.list(_KINDS["Node"])[0])
    entries = storage.entries(_KINDS["Pod"])
    room = max(1, height - len(nodes) - 4)
    latest = sorted(entries, key=lambda entry: entry.revision)[-room:]
    shown = sorted(latest, key=lambda entry: entry.key)
    pods = _rows("Pod", [parse(_KINDS["Pod"], entry) for entry in shown])
    hidden = len(entries) - len(shown)
    lines = ["", *_aligned(nodes)]
    lines += ["", *_aligned(pods)] if shown else ["", "no pods yet"]
    return [*lines, f"and {hidden} more pods"] if hidden else lines


def _rows(name: str, objects: Sequence[Json]) -> list[list[str]]:
    """Return the heading and a row for each object, of the columns that are shown."""
    found = table(_KINDS[name], objects, now=datetime.now(UTC), resource_version="", include="None")
    titles = [column["name"] for column in found["columnDefinitions"]]
    rows = []
    for one, row in zip(objects, found["rows"], strict=True):
        cells = dict(zip(titles, map(str, row["cells"]), strict=True))
        cells["Namespace"] = one["metadata"].get("namespace") or ""
        rows.append([cells[title] for title in _COLUMNS[name]])
    return [[title.upper() for title in _COLUMNS[name]], *rows]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cells(name: str, raw: Json) -> dict[str, str]:
    heading, cells = _rows(name, [raw])
    return dict(zip(heading, cells, strict=True))


def _node_state(raw: Json) -> _State | None:
    """Return the shown state of a node; None before it has conditions."""
    if not condition_of(raw, "Ready"):
        return None
    return _State(_cells("Node", raw)["STATUS"])


def _pod_state(raw: Json) -> _State:
    cells = _cells("Pod", raw)
    word, ready = cells["STATUS"], cells["READY"]
    if word == "Running":
        counts = ready.split("/")
        word = word if counts[0] == counts[-1] else f"Running, {ready} ready"
        return _State(word, f" ({cells['IP']} on {cells['NODE']})")
    reason = _why_waiting(raw)
    return _State(word, f": {reason}" if reason else "")


def _why_waiting(raw: Json) -> str:
    """Return what keeps a pod from getting a node."""
    scheduled = condition_of(raw, "PodScheduled")
    source = scheduled if scheduled.get("status") == "False" else status_of(raw)
    return str(source.get("message") or "")


_STATES = {"Node": _node_state, "Pod": _pod_state}
