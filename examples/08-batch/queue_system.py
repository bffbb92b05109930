"""The backend: a queue with two places, as batch systems have them. Jobs are child processes.

A job waits until a place is free. The queue may take a job's place away and put it back in line.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import attrs

PLACES = 2


@attrs.define(eq=False)
class Job:
    """One job; its exit code is None until it has ended."""

    number: int
    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    exit_code: int | None = None

    @property
    def state(self) -> str:
        if self.exit_code is not None:
            return "COMPLETED"
        return "RUNNING" if self.process is not None else "PENDING"


@attrs.define(eq=False)
class Queue:
    """Jobs by their number, which is the order of their submission."""

    jobs: dict[int, Job] = attrs.field(factory=dict, init=False)
    _numbers: itertools.count[int] = attrs.field(factory=lambda: itertools.count(1), init=False)

    def submit(self, name: str, command: Sequence[str]) -> Job:
        number = next(self._numbers)
        job = self.jobs[number] = Job(number, name, command)
        return job

    def poll(self) -> list[Job]:
        """Note what has ended, fill the places that are free, and return every job."""
        for job in self.jobs.values():
            if job.process is not None and job.process.poll() is not None:
                job.exit_code, job.process = job.process.returncode, None
        waiting = [job for job in self.jobs.values() if job.state == "PENDING"]
        free = PLACES - sum(job.state == "RUNNING" for job in self.jobs.values())
        for job in waiting[:free]:
            self._start(job)
        return list(self.jobs.values())

    def requeue(self, number: int) -> None:
        """Take the job's place away; it starts from the beginning when one is free."""
        job = self.jobs[number]
        self._stop(job)
        del self.jobs[number]
        self.jobs[number] = job  # at the end of the line

    def cancel(self, number: int) -> None:
        """End the job and forget it. Raises KeyError where there is none."""
        self._stop(self.jobs.pop(number))

    def _start(self, job: Job) -> None:
        job.starts += 1
        try:
            job.process = subprocess.Popen(
                job.command, stdout=subprocess.DEVNULL, start_new_session=True
            )
        except OSError:
            job.exit_code = 127  # as a shell says it

    def _stop(self, job: Job) -> None:
        if job.process is not None:
            with suppress(ProcessLookupError):  # it has ended
                os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()
            job.process = None
