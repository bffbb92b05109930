"""Rules of the options of `kubectl logs`: each compared with the whole log."""

from __future__ import annotations

from datetime import timedelta

from vk.errors import ProviderError
from vk.log_lines import split_lines, split_stamp
from vk.models.time import now
from vk.testing.contract.base import Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.logs import whole_log
from vk.testing.contract.rule import require, rule

__all__ = ["LogChoices"]


class LogChoices(Base):
    """One rule an option."""

    @rule
    async def test_tail_lines_are_the_last_ones(self, bench: Bench) -> None:
        """``tail_lines=1`` gives the last line, 0 gives nothing, more than there are gives all."""
        pod, whole = await whole_log(bench, self)
        lines = split_lines(whole)
        for count in (0, 1, 2, 100):
            wanted = b"".join(lines[len(lines) - min(count, len(lines)) :])
            log = await bench.log(pod, tail_lines=count)
            require(log == wanted, f"of {whole!r} tail_lines={count} gives {log!r}")

    @rule
    async def test_limit_bytes_is_a_limit(self, bench: Bench) -> None:
        """``limit_bytes=5`` gives the first five bytes."""
        pod, whole = await whole_log(bench, self)
        log = await bench.log(pod, limit_bytes=5)
        require(log == whole[:5], f"of {whole!r} limit_bytes=5 gives {log!r}")

    @rule
    async def test_since_leaves_out_what_is_older(self, bench: Bench) -> None:
        """``since`` an hour ago gives everything, ``since`` an hour from now nothing."""
        pod, whole = await whole_log(bench, self)
        hour = timedelta(hours=1)
        log = await bench.log(pod, since=now() - hour)
        require(log == whole, f"of {whole!r} since an hour ago gives {log!r}")
        log = await bench.log(pod, since=now() + hour)
        require(log == b"", f"since an hour from now gives {log!r}")

    @rule
    async def test_timestamps_begin_each_line(self, bench: Bench) -> None:
        """With ``timestamps`` each line begins with its time, in RFC 3339, and a space."""
        pod, whole = await whole_log(bench, self)
        log = await bench.log(pod, timestamps=True)
        parts = [split_stamp(line) for line in split_lines(log)]
        require(all(stamp for stamp, _ in parts), f"a line has no time: {log!r}")
        bare = b"".join(text for _, text in parts)
        require(bare == whole, f"without its times {log!r} is not {whole!r}")

    @rule
    async def test_a_previous_log_is_no_other_runs(self, bench: Bench) -> None:
        """``previous`` is refused where the container never restarted."""
        pod, _ = await whole_log(bench, self)
        try:
            log = await bench.log(pod, previous=True)
        except ProviderError:
            return
        require(False, f"the container never restarted, and its previous log is {log!r}")
