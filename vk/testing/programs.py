"""A program as a child process of the tests, and waiting for what it makes true."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

__all__ = ["CommandError", "Program", "eventually", "free_port"]

_PORTS = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections (32 768 and above), which could take a port
between the moment that it is found free and that in which a program listens."""

T = TypeVar("T")


class CommandError(Exception):
    """A program of the control plane failed; the text ends with what it wrote last."""


def eventually(probe: Callable[[], T], what: str, *, timeout: float = 60.0) -> T:
    """Call ``probe`` until it returns something true, and return that.

    A CommandError or OSError of it counts as not yet. Raises AssertionError after ``timeout``
    seconds, which names ``what`` and the last answer.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            answer = probe()
            if answer:
                return answer
            last = answer
        except (CommandError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what}; last: {last}")
        time.sleep(0.1)


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port that is free now, for a program that a test is about to start."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as one:
            try:
                one.bind((address, port))
            except OSError:
                continue
            return port


@attrs.define
class Program:
    """One child process with a log file; ended by its id."""

    command: Sequence[str]
    log: Path
    _process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Start the program; its output is added to the log."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def check(self) -> None:
        """Raise RuntimeError when the program has ended."""
        code = self._process.poll() if self._process else None
        if code is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self.command[0]} ended with {code}; its log:\n{tail}")

    def stop(self) -> None:
        """End the program and wait for that; repeatable."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(3.0)  # an API server waits up to a minute for its watchers to leave
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
