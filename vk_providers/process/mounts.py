"""The file tree of a container as arguments of bubblewrap.

In: a root folder and the mounts in it. Out: arguments that bind the folder read-only, with the
mounts at their mount points. bubblewrap cannot create a missing mount point in a read-only folder:
its nearest existing folder is then rebuilt, entry by entry, on a tmpfs. The root itself is always
rebuilt: bound as a whole, it would include mounts in folders that the container has for itself,
such as the network namespaces of other pods below /run, and bubblewrap fails when one of them
disappears during the remount.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import attrs

__all__ = ["Mount", "confined_mounts", "tree"]

_MOST_LINKS = 40  # as in the kernel


@attrs.frozen(kw_only=True)
class Mount:
    """A mount at ``target`` in the container; ``option`` is that of bubblewrap."""

    target: str
    option: Literal["--ro-bind", "--bind", "--dev-bind-try", "--tmpfs", "--proc"]
    source: str = ""
    mode: str = "0755"
    """Mode of a new tmpfs."""
    inside: tuple[str, str] | None = None
    """Folder and path below it that the source must resolve to, despite symbolic links."""

    @property
    def makes_places(self) -> bool:
        """Whether bubblewrap can create mount points in this mount."""
        return self.option in ("--bind", "--tmpfs")

    def arguments(self) -> list[str]:
        """Return the arguments of bubblewrap."""
        if self.option == "--tmpfs":
            return ["--perms", self.mode, self.option, self.target]
        return [self.option, *([self.source] if self.source else []), self.target]


def tree(root: Path, mounts: Sequence[Mount]) -> list[str]:
    """Return the arguments for ``root`` with ``mounts``, of which later ones cover earlier ones."""
    placed = _placed(root, mounts)
    covered = {mount.target for mount in placed}
    arguments = list(_folder(root, "/", _rebuilt(root, placed), covered))
    for mount in placed:
        arguments += mount.arguments()
    return [*arguments, "--remount-ro", "/"]


def confined_mounts(root: Path, mounts: Sequence[Mount]) -> list[tuple[str, str, str]]:
    """Return folder, path and mount point of each mount confined to a folder."""
    placed = _placed(root, mounts)
    return [(*mount.inside, mount.target) for mount in placed if mount.inside is not None]


def _placed(root: Path, mounts: Sequence[Mount]) -> list[Mount]:
    placed: list[Mount] = []
    for mount in mounts:
        above = [each.target for each in placed]
        placed.append(attrs.evolve(mount, target=_resolved(root, mount.target, above)))
    return placed


def _rebuilt(root: Path, mounts: Sequence[Mount]) -> set[str]:
    """Return the folders to rebuild: the root, those with new mount points, and their parents."""
    fresh: list[str] = []
    found = {"/"}
    for mount in mounts:
        inside = any(_is_below(mount.target, folder) for folder in fresh)
        if not inside and not os.path.lexists(_on_machine(root, mount.target)):
            nearest = PurePosixPath(mount.target).parent
            while not os.path.isdir(_on_machine(root, str(nearest))):
                nearest = nearest.parent
            found |= {str(nearest), *map(str, nearest.parents)}
        if mount.makes_places:
            fresh.append(mount.target)
    return found


def _folder(root: Path, folder: str, rebuilt: set[str], covered: set[str]) -> Iterator[str]:
    if folder != "/":
        mode = os.stat(_on_machine(root, folder)).st_mode & 0o7777
        yield from ("--perms", f"{mode:04o}", "--dir", folder)
    with os.scandir(_on_machine(root, folder)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        path = f"{folder.rstrip('/')}/{entry.name}"
        if entry.is_symlink():
            yield from ("--symlink", os.readlink(entry.path), path)
        elif path in rebuilt:
            yield from _folder(root, path, rebuilt, covered)
        elif path not in covered:
            yield from ("--ro-bind-try", entry.path, path)


def _resolved(root: Path, target: str, covered: Sequence[str]) -> str:
    """Return ``target`` with symbolic links resolved inside of ``root``.

    Paths below one of ``covered`` are not in the root folder any more.
    """
    rest = list(PurePosixPath(target).parts[1:])
    done: list[str] = []
    links = 0
    while rest:
        part = rest.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        place = "/" + "/".join([*done, part])
        path = _on_machine(root, place)
        hidden = any(_is_below(place, folder) for folder in covered)
        if hidden or not os.path.islink(path) or links >= _MOST_LINKS:
            done.append(part)
            continue
        links += 1
        link = PurePosixPath(os.readlink(path))
        done = [] if link.is_absolute() else done
        rest = [each for each in link.parts if each != "/"] + rest
    return "/" + "/".join(done)


def _on_machine(root: Path, path: str) -> str:
    return str(root / path.lstrip("/"))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
