"""The embedded API server in a process of its own, for `core.py --embedded`.

    python embedded.py FOLDER

Prints the path of the kubeconfig once it serves, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vk.devcluster.cluster import DevCluster

__all__ = ["embedded_server"]


@contextmanager
def embedded_server(folder: Path) -> Iterator[Path]:
    """Run the server and give its kubeconfig."""
    command = [sys.executable, __file__, str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield Path(process.stdout.readline().strip())
        process.communicate()


async def _serve(folder: Path) -> None:
    async with DevCluster(folder) as cluster:
        print(cluster.kubeconfig, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
