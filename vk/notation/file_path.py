"""Paths of files in a volume, by the kubelet's rules.

In: a path as a pod or an object writes it. Out: the same path without ``.`` and double slashes,
which names something below the volume and nothing else. Pure.
"""

from __future__ import annotations

import posixpath

__all__ = ["clean_descending", "clean_file_path"]

# Limits of Linux, which the kubelet checks too: bytes of a path, and of one name in it.
_LONGEST_PATH = 4096
_LONGEST_NAME = 255


def clean_descending(path: str) -> str:
    """Return ``path`` cleaned; ``.`` and empty give an empty text.

    Raises ValueError, whose text goes on after the field's name, for a path that is absolute, has a
    ``..`` in it, is too long, or cannot be one.
    """
    if "\0" in path:
        raise ValueError("must not contain a NUL character")
    if path.startswith("/"):
        raise ValueError(f"must be a relative path, found {path!r}")
    parts = path.split("/")
    if ".." in parts:
        raise ValueError(f"must not contain '..', found {path!r}")
    if len(_bytes(path)) > _LONGEST_PATH:
        raise ValueError(f"must have at most {_LONGEST_PATH} bytes")
    if any(len(_bytes(part)) > _LONGEST_NAME for part in parts):
        raise ValueError(f"must have names of at most {_LONGEST_NAME} bytes")
    cleaned = posixpath.normpath(path)
    return "" if cleaned == "." else cleaned


def clean_file_path(path: str) -> str:
    """Return ``path`` cleaned, for a file of a volume that the kubelet fills.

    Raises ValueError also for what is empty, or begins with ``..``: such names are the layout's.
    """
    cleaned = clean_descending(path)
    if not cleaned:
        raise ValueError(f"must name a file, found {path!r}")
    if cleaned.startswith(".."):
        raise ValueError(f"must not start with '..', found {path!r}")
    return cleaned


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
