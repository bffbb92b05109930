"""Says when each pod of a node was first seen Running, and when it was gone.

    python tests/benchmarks/observer.py KUBECONFIG NODE

A process of its own, so that the clients' work does not delay what it sees. Writes ``open`` once
its watch is open, then lines ``running NAME SECONDS`` and ``gone NAME SECONDS``, by the clock of
`time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from access import open_session, watch_pods


async def main(kubeconfig: Path, node: str) -> None:
    """Write until it is stopped."""
    running: set[str] = set()
    async with open_session(kubeconfig, connections=1) as session:
        async for events in watch_pods(session, node):
            now = time.monotonic()
            if not events:
                print("open", flush=True)
            for event in events:
                pod = event["object"]
                name = pod["metadata"]["name"]
                if event["type"] == "DELETED":
                    running.discard(name)
                    print("gone", name, now)
                elif pod["status"].get("phase") == "Running" and name not in running:
                    running.add(name)
                    print("running", name, now)
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
