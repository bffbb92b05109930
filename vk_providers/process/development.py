"""A temporary state folder for `vk dev`, whose pods end with the session.

Pods of a killed session are ended by the next one. Each folder has a lock file that is held by its
session, so that concurrent sessions do not affect each other.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import vk
from vk_providers.process.supervisor.linux import is_locked, lock
from vk_providers.process.supervisor_client import connect

__all__ = ["temporary_state"]

_PREFIX = "vk-process-dev-"
_PATIENCE = 10.0


@asynccontextmanager
async def temporary_state() -> AsyncIterator[Path]:
    """Yield a new folder; at the end its pods are killed and it is removed."""
    for folder in _left():
        await _end(folder)
    hidden = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}"))
    with (hidden / "session").open("w") as session:
        lock(session.fileno())
        folder = _shown(hidden)
        try:
            yield folder
        finally:
            await _end(folder)


async def _end(folder: Path) -> None:
    """Kill the pods of a state folder and remove it."""
    await asyncio.gather(*(_kill(pod) for pod in _pods(folder)))
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _shown(hidden: Path) -> Path:
    """Rename the folder after its lock is held."""
    return hidden.rename(hidden.with_name(hidden.name.removeprefix(".")))


def _left() -> list[Path]:
    """Return the folders of killed sessions of this user."""
    folders = Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")
    ours = [each for each in folders if each.lstat().st_uid == os.geteuid() and each.is_dir()]
    return [folder for folder in ours if not is_locked(str(folder / "session"))]


def _pods(folder: Path) -> list[Path]:
    return list(folder.glob("*/*/pods/*"))


async def _kill(pod: Path) -> None:
    with suppress(vk.NotFoundError, vk.TemporaryError, TimeoutError):  # it is ending already
        async with asyncio.timeout(_PATIENCE):
            client = await connect(pod)
            try:
                await client.stop(0)
                async with aclosing(client.changes()) as changes:
                    async for _ in changes:
                        continue
            finally:
                client.close()
