"""The log that a container would have: a function of when it began and of the time.

In comes a run, out come lines. Nothing is kept, so a container that ran for a year costs no more
than one that just began: a line's number says when it was written. Like a log that is rotated, it
holds the newest hour only, and before it always the line that says that all of it is simulated.
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
    """What is written; empty: nothing after line 0."""
    run: ContainerRun

    def newest(self, at: int) -> int:
        """Return the number of the last line that was written by ``at``."""
        return max(0, self.run.seconds(at)) if self.line else 0

    def text(self, first: int, last: int) -> bytes:
        """Return lines ``first`` to ``last`` with their times, as far as they are kept."""
        numbers = range(max(first, 1, last - _KEPT + 1), last + 1)
        lines = [self._stamped(number, self.line) for number in numbers]
        if first == 0:
            intro = f"simulated: nothing runs in container {self.container}, this log is made up"
            lines.insert(0, self._stamped(0, intro))
        return "".join(lines).encode(errors="replace")

    async def read(
        self, options: vk.LogOptions, seconds: AsyncGenerator[int, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield what ``options`` want; ``seconds`` tell the time, and end with the run."""
        wanted, first = vk.filter_lines(options), 0
        async with aclosing(seconds):
            async for now in seconds:
                last = self.newest(now)
                data = wanted.feed(self.text(first, last))
                if first == 0:
                    data += wanted.finish()  # so far for the tail: what follows is new
                if data:
                    yield data
                if wanted.full or not options.follow:
                    return
                first = last + 1

    def _stamped(self, number: int, text: str) -> str:
        moment = _EPOCH + timedelta(milliseconds=self.run.began, seconds=number)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}Z {text}\n"
