"""Bubblewrap: the mount, PID, IPC and UTS namespaces of a container.

In: the file tree and host name of a container. Out: the bwrap command that creates its namespaces
(`Bubblewrap.namespaces`); the supervisor runs it and enters them (`supervisor.namespaces`).
`find_bubblewrap` tests at the start whether this machine permits that. Pure apart from it.

A container that runs as another user than vk needs a user namespace, since bwrap of root cannot
change the user; some machines permit user namespaces to root only.
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
_OTHER_UID = 65534
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_LINKS = {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}


@attrs.frozen(kw_only=True)
class Bubblewrap:
    """Creates the namespaces of containers."""

    program: str
    refused_users: str = ""
    """Why containers cannot run as another user than vk; empty: they can."""

    def namespaces(self, *, root: Path, mounts: Sequence[Mount], hostname: str) -> list[str]:
        """Return the bwrap command for a container with the root folder ``root``.

        All users of this machine can read it, so it must not contain the environment.
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
        """Return folder, path below it and mount point of each mount confined to a folder."""
        return confined_mounts(root, [*own_folders(), *mounts])


def own_folders() -> list[Mount]:
    """Return the mounts that every container has."""
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
    """Return bubblewrap, None (with a warning in the log) where pods are not isolated.

    Raises ConfigError where ``setting`` requires bubblewrap and it does not work here.
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
        "and their volumes are below the state folder",
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
        found = attrs.evolve(found, refused_users=await _run(found, _OTHER_UID))
    return found, ""


async def _run(found: Bubblewrap, user: int | None) -> str:
    """Run `true` in new namespaces; return the error, empty on success."""
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
            _, stderr = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"bwrap did not exit in {_PATIENCE:g} s"
    if process.returncode == 0:
        return ""
    return stderr.decode(errors="replace").strip() or f"bwrap exited with {process.returncode}"
