"""Bubblewrap: mounts, process and host name space of a container's own.

In: a container's file tree and names; out: the command that builds them (`Bubblewrap.cell`), which
the supervisor has run and enters (`supervisor.cell`). `find_bubblewrap` says at the start whether this machine
allows that, by doing it. Pure apart from `find_bubblewrap`.

The surprising part: a container that runs as another user than vk needs a user namespace, since
root's bubblewrap cannot change the user; some machines allow that to root only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs

import vk
from vk_providers.process.mounts import Mount, confined_mounts, tree

__all__ = ["Bubblewrap", "find_bubblewrap", "own_folders"]

log = logging.getLogger(__name__)

_PATIENCE = 10.0
_NOBODY = 65534
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}


@attrs.frozen(kw_only=True)
class Bubblewrap:
    """How to build what a container has of its own."""

    program: str
    refused_users: str = ""
    """Why no container can run as another user than vk; empty: it can."""

    def namespaces(self, *, root: Path, mounts: Sequence[Mount], hostname: str) -> list[str]:
        """Return the command for a container with ``root`` as its files, up to what it executes.

        Everybody on this machine can read it; the container's environment has no place in it.
        """
        links = [
            argument
            for name, end in _LINKS.items()
            for argument in ("--symlink", f"/proc/self/fd{end}", f"/dev/{name}")
        ]
        spaces = ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", hostname]
        return [
            *(self.program, *spaces, "--die-with-parent"),
            *tree(root, [*own_folders(), *mounts]),
            *links,
        ]

    def confined_mounts(self, *, root: Path, mounts: Sequence[Mount]) -> list[tuple[str, str, str]]:
        """Return what must be true of the mounts in a cell: folder, path below it, place."""
        return confined_mounts(root, [*own_folders(), *mounts])


def own_folders() -> list[Mount]:
    """Return what every container has for itself."""
    devices = [f"/dev/{name}" for name in _DEVICES]
    return [
        Mount(target="/proc", option="--proc"),
        Mount(target="/dev", option="--tmpfs"),
        *(Mount(target=each, option="--dev-bind-try", source=each) for each in devices),
        Mount(target="/dev/shm", option="--tmpfs", mode="1777"),
        Mount(target="/tmp", option="--tmpfs", mode="1777"),
        Mount(target="/run", option="--tmpfs"),
    ]


async def find_bubblewrap(setting: str) -> Bubblewrap | None:
    """Return how to isolate pods, None where they are not; that is logged, once.

    Raises ConfigError where ``setting`` asks for bubblewrap and this machine does not allow it.
    """
    if setting == "none":
        why = "isolation = none"
    else:
        found, why = await _try()
        if found is not None:
            return found
        if setting == "bubblewrap":
            raise vk.ConfigError(f"isolation: bubblewrap cannot be used: {why}")
    log.warning(
        "pods are not isolated: their processes see this machine's files and processes, "
        "and their volumes lie below the state folder",
        extra={"error": why},
    )
    return None


async def _try() -> tuple[Bubblewrap | None, str]:
    program = shutil.which("bwrap")
    if program is None:
        return None, "bwrap is not installed"
    found = Bubblewrap(program=program)
    why = await _run(found, None)
    if why:
        return None, why
    if os.geteuid() == 0:
        found = attrs.evolve(found, refused_users=await _run(found, _NOBODY))
    return found, ""


async def _run(found: Bubblewrap, user: int | None) -> str:
    """Run a container that does nothing; return why that failed, empty where it did not."""
    argv = [*found.namespaces(root=Path("/"), mounts=(), hostname="vk"), "--", "true"]
    process = await asyncio.create_subprocess_exec(
        *argv,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        cwd="/",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            _, said = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"bwrap did not end in {_PATIENCE:g} s"
    if process.returncode == 0:
        return ""
    return said.decode(errors="replace").strip() or f"bwrap ended with {process.returncode}"
