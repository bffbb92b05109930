"""What runs in the benchmark's pod, as container programs: standard library only.

    python tests/benchmarks/workload.py print MEGABYTES | tick | echo PORT | flood PORT

``print`` writes a log and ends; ``tick`` writes ten lines a second, each the time of
`time.monotonic` at which it was written; ``echo`` gives every connection back what it sends, and
``flood`` sends without end to every client.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable

LINE = (
    b"2026-01-31 12:00:00,000 INFO shop.orders order=7f3c9a took 12 ms, 3 items, 1 warehouse, ok\n"
)
TICK = 0.1
_PIECE = 1 << 16


def log(megabytes: int) -> bytes:
    """Return what ``print`` writes."""
    return LINE * (megabytes * 1_000_000 // len(LINE))


def _print(megabytes: int) -> None:
    sys.stdout.buffer.write(log(megabytes))


def _tick() -> None:
    when = time.monotonic()
    while True:
        when += TICK
        time.sleep(max(0.0, when - time.monotonic()))
        sys.stdout.write(f"{time.monotonic():.6f}\n")
        sys.stdout.flush()


def _echo(connection: socket.socket) -> None:
    while piece := connection.recv(_PIECE):
        connection.sendall(piece)


def _flood(connection: socket.socket) -> None:
    while True:
        connection.sendall(bytes(_PIECE))


def _serve(port: int, talk: Callable[[socket.socket], None]) -> None:
    def run(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionError):
            talk(connection)

    with socket.create_server(("127.0.0.1", port), backlog=256) as server:
        while True:
            connection, _ = server.accept()
            threading.Thread(target=run, args=(connection,), daemon=True).start()


def main(what: str, number: int = 0) -> None:
    """Do what the command line says."""
    if what == "print":
        _print(number)
    elif what == "tick":
        _tick()
    else:
        _serve(number, _echo if what == "echo" else _flood)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
