"""The part of a volume that a container sees: subPath and subPathExpr. Pure.

In: an entry of ``volumeMounts`` and its container. Out: a path below the volume, or the files below
it. For providers, which place volumes; the core has no use for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vk.errors import InvalidInputError
from vk.models.files import File, FileTree
from vk.models.pod import Container
from vk.notation.expansion import expand_variables, referenced_names
from vk.notation.file_path import clean_descending

__all__ = ["files_below", "sub_path"]


def sub_path(mount: Mapping[str, Any], container: Container) -> str:
    """Return the path below the volume that ``mount`` shows; empty: the whole volume.

    ``subPathExpr`` is expanded with the container's variables. Raises InvalidInputError for a
    variable that is empty or that the container does not have (or not yet, see `Pod.with_ips`), and
    for a path that leaves the volume.
    """
    path, expression = mount.get("subPath") or "", mount.get("subPathExpr") or ""
    field = f"volumeMounts {mount.get('mountPath')!r} of container {container.name!r}"
    if expression:
        missing = [name for name in referenced_names(expression) if not container.env.get(name)]
        if missing:
            text = f"{field}: subPathExpr: no value for {', '.join(dict.fromkeys(missing))}"
            raise InvalidInputError(text, reason="InvalidVolume")
        path = expand_variables(expression, container.env)
    try:
        return clean_descending(path)
    except ValueError as error:
        name = "subPathExpr" if expression else "subPath"
        raise InvalidInputError(f"{field}: {name}: {error}", reason="InvalidVolume") from None


def files_below(tree: FileTree, path: str) -> dict[str, File]:
    """Return the files below ``path`` by their paths from there.

    Where ``path`` is a file, the result has one entry under an empty path; where nothing is there,
    none.
    """
    if not path:
        return dict(tree)
    if path in tree:
        return {"": tree[path]}
    start = f"{path}/"
    return {name[len(start) :]: file for name, file in tree.items() if name.startswith(start)}
