"""Opens streams whose reader never reads, and keeps them until it is killed.

    python tests/benchmarks/stalled.py KUBECONFIG POD COUNT PORT

Half are execs of a command that writes without end, half are forwards to PORT, where a server does
the same. Writes ``open`` once all of them are open.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from access import PODS
from upgraded import Server, Upgraded

EXEC = "v5.channel.k8s.io"
FORWARD = "v4.channel.k8s.io"
ENDLESS = "container=echo&stdout=1&command=cat&command=/dev/zero"


async def main(kubeconfig: Path, pod: str, count: int, port: int) -> None:
    """Open the streams and wait to be killed."""
    server = Server.of(kubeconfig)
    streams = list[Upgraded]()
    for number in range(count):
        path, protocol = (f"{PODS}/{pod}/exec?{ENDLESS}", EXEC)
        if number % 2:
            path, protocol = (f"{PODS}/{pod}/portforward?ports={port}", FORWARD)
        streams.append(await server.upgrade(path, protocol))
    print("open", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
