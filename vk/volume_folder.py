"""A volume of files on a disk, in the kubelet's layout: all files change at one moment.

In: a folder and a `FileTree`. Out: the folder with a link for each top-level name, ``NAME ->
..data/NAME``, and ``..data ->`` a folder whose name is a time. An update writes a new such folder
and renames a link over ``..data``: a reader sees all of the old files or all of the new ones. For
providers that write to a disk. Everything here blocks: call it in a thread.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from vk.models.files import File, FileTree

__all__ = ["write_files"]

_DATA = "..data"
_NEW = "..data_tmp"
_FOLDER_MODE = 0o755


def write_files(folder: Path, tree: FileTree) -> bool:
    """Make ``folder`` hold exactly ``tree``; return whether anything changed.

    The folder is made where it is missing; what another program made in it, for a mount, stays.
    Repeatable, also after it was broken off at any point. Modes are set whatever the umask is;
    owners where a file names one. Raises OSError, after which readers still see the files as they
    were. The paths must be those of a FileTree: relative, clean and without ``..``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    current = _current(folder)
    changed = current is None or not _same(folder / current, tree)
    if changed:
        fresh = _write(folder, tree)
        (folder / _NEW).unlink(missing_ok=True)
        (folder / _NEW).symlink_to(fresh)
        (folder / _NEW).rename(folder / _DATA)
        current = fresh
    _link_names(folder, {PurePosixPath(path).parts[0] for path in tree})
    _remove_old(folder, current)
    return changed


def _current(folder: Path) -> str | None:
    try:
        return os.readlink(folder / _DATA)
    except FileNotFoundError:
        return None


def _write(folder: Path, tree: FileTree) -> str:
    """Write the files into a new folder and return its name."""
    prefix = f"..{datetime.now(UTC):%Y_%m_%d_%H_%M_%S}."
    fresh = Path(tempfile.mkdtemp(prefix=prefix, dir=folder))
    fresh.chmod(_FOLDER_MODE)
    for path, file in tree.items():
        place = fresh / path
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            if not (fresh / parent).is_dir():
                (fresh / parent).mkdir()
                (fresh / parent).chmod(_FOLDER_MODE)
        _write_file(place, file)
    return fresh.name


def _write_file(place: Path, file: File) -> None:
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(file.content)
        if file.uid is not None or file.gid is not None:  # before the mode, which it may change
            os.fchown(out.fileno(), _or_keep(file.uid), _or_keep(file.gid))
        os.fchmod(out.fileno(), file.mode)


def _or_keep(owner: int | None) -> int:
    return -1 if owner is None else owner


def _same(folder: Path, tree: FileTree) -> bool:
    found = {
        str((Path(parent) / name).relative_to(folder))
        for parent, _, names in os.walk(folder)
        for name in names
    }
    return found == set(tree) and all(_is(folder / path, file) for path, file in tree.items())


def _is(place: Path, file: File) -> bool:
    known = place.stat()
    return (
        stat.S_IMODE(known.st_mode) == file.mode
        and file.uid in (None, known.st_uid)
        and file.gid in (None, known.st_gid)
        and known.st_size == len(file.content)
        and place.read_bytes() == file.content
    )


def _link_names(folder: Path, names: set[str]) -> None:
    for name in names:
        if not os.path.lexists(folder / name):  # what is no link is the place of another mount
            (folder / name).symlink_to(f"{_DATA}/{name}")
    for entry in os.scandir(folder):
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            os.unlink(entry.path)


def _remove_old(folder: Path, current: str | None) -> None:
    for entry in os.scandir(folder):
        if entry.name.startswith("..") and entry.name != current and not entry.is_symlink():
            shutil.rmtree(entry.path)
