"""Files and folders that hold keys: only this user can read them, and no link leads elsewhere.

The folder of `vk dev` has a name that others can guess, in a folder where they may write: they can
be there first, with a folder of theirs or a link. Whatever is not this user's own is an error.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from vk.errors import ConfigError

__all__ = ["open_private", "private_folder", "write_private"]


def private_folder(path: Path) -> None:
    """Make the folder with mode 0700, or check the one that is there; may be repeated.

    Raises ConfigError for a link, a folder of another user, and one that others can use.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{path}: expected a folder, not a link or a file")
    if found.st_uid != os.getuid():
        raise ConfigError(f"{path} belongs to another user")
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        raise ConfigError(f"{path} holds keys: expected mode 0700, not {mode:04o}")
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"{path} may not be written")


def open_private(path: Path, flags: int) -> int:
    """Open or make the file with mode 0600 and return its descriptor. Raises ConfigError."""
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path}: expected a file of this user, not a link: {error.strerror}"
        ) from (error)


def write_private(path: Path, content: bytes) -> None:
    """Write a new file with mode 0600 in place of an older one.

    Raises ConfigError where something else than a file has its name.
    """
    if path.is_file() and not path.is_symlink():
        path.unlink()  # of an earlier cluster
    with os.fdopen(open_private(path, os.O_WRONLY | os.O_EXCL), "wb") as file:
        file.write(content)
