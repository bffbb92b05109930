"""The simulated log of a container, computed from the start of its run and the time.

In: a run of a container. Out: lines. Nothing is stored, since the number of a line determines its
time. Like a rotated log it holds the last hour only, after a first line that states that the log is
simulated.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import attrs

import vk
from vk_providers.mock.pod import ContainerRun

__all__ = ["SimulatedLog"]

_KEPT = 3_600
_EPOCH = datetime.fromtimestamp(0, UTC)


@attrs.frozen
class SimulatedLog:
    """The log of one run: line 0 as it begins, then ``line`` every second until it ends."""

    container: vk.ContainerKey
    line: str
    """Text of each line; empty: only line 0."""
    run: ContainerRun

    def newest(self, at: int) -> int:
        """Return the number of the last line at time ``at``."""
        return max(0, self.run.seconds(at)) if self.line else 0

    def text(self, first: int, last: int) -> bytes:
        """Return the lines ``first`` to ``last`` with timestamps, within the retained hour."""
        numbers = range(max(first, 1, last - _KEPT + 1), last + 1)
        lines = [self._stamped(number, self.line) for number in numbers]
        if first == 0:
            intro = f"simulated: nothing runs in container {self.container}, this log is made up"
            lines.insert(0, self._stamped(0, intro))
        return "".join(lines).encode(errors="replace")

    async def read(
        self, options: vk.LogOptions, seconds: AsyncGenerator[int, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield the log by ``options``; ``seconds`` yields the time until the run ends."""
        wanted, first = vk.filter_lines(options), 0
        async with aclosing(seconds):
            async for now in seconds:
                last = self.newest(now)
                data = wanted.feed(self.text(first, last))
                if first == 0:
                    data += wanted.finish()  # the tail ends here: what follows is new
                if data:
                    yield data
                if wanted.full or not options.follow:
                    return
                first = last + 1

    def _stamped(self, number: int, text: str) -> str:
        moment = _EPOCH + timedelta(milliseconds=self.run.began, seconds=number)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z {text}\n"
