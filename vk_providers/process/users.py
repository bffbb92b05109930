"""The user of a container: from the pod's security context, else its image, else vk's own user.

In: the security contexts and the image's ``user``. Out: a `ContainerUser`. Names are looked up in
/etc/passwd and /etc/group of the image's root folder, as in a container.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

import vk

__all__ = ["ContainerUser", "container_user"]

Json = Mapping[str, Any]
_REASON = "CreateContainerConfigError"


@attrs.frozen(kw_only=True)
class ContainerUser:
    """User and groups of a process; ``uid`` and ``gid`` None: those of vk."""

    uid: int | None = None
    gid: int | None = None
    groups: tuple[int, ...] = ()
    home: str = "/"


def container_user(container: Json, pod: Json, *, image_user: str, root: Path) -> ContainerUser:
    """Return the user of a container; ``container`` and ``pod`` are the raw specs.

    Raises InvalidInputError where vk cannot switch to that user, or the name is unknown.
    """
    security = {**_set(pod.get("securityContext")), **_set(container.get("securityContext"))}
    name, colon, group = image_user.partition(":")
    uid = security.get("runAsUser")
    if uid is None and name:
        uid = _number(name, root / "etc/passwd")
    gid = security.get("runAsGroup")
    if gid is None and colon:
        gid = _number(group, root / "etc/group")
    effective = os.geteuid() if uid is None else int(uid)
    if security.get("runAsNonRoot") and effective == 0:
        text = f"container {container['name']!r} has runAsNonRoot and would run as root"
        raise vk.InvalidInputError(text, reason=_REASON)
    entry = _entry(root / "etc/passwd", str(effective), column=2)
    if gid is None and uid is not None:
        gid = int(entry[3]) if entry else 0
    home = entry[5] if entry and entry[5] else "/"
    return _permitted(ContainerUser(uid=uid, gid=gid, groups=_groups(pod), home=home))


def _permitted(wanted: ContainerUser) -> ContainerUser:
    if os.geteuid() == 0:
        return wanted
    asked = {wanted.uid, os.geteuid()} - {None} != {os.geteuid()}
    asked |= {wanted.gid, os.getegid()} - {None} != {os.getegid()}
    asked |= not set(wanted.groups) <= {os.getegid(), *os.getgroups()}
    if asked:
        text = f"vk runs as user {os.geteuid()} and cannot run a process as another user or group"
        raise vk.InvalidInputError(text, reason=_REASON)
    return ContainerUser(home=wanted.home)


def _groups(pod: Json) -> tuple[int, ...]:
    security = pod.get("securityContext") or {}
    own = security.get("fsGroup")
    return (*(security.get("supplementalGroups") or ()), *(() if own is None else (own,)))


def _number(name: str, file: Path) -> int:
    if name.isdigit():
        return int(name)
    entry = _entry(file, name, column=0)
    if entry is None:
        raise vk.InvalidInputError(f"no {name!r} in {file}", reason=_REASON)
    return int(entry[2])


def _entry(file: Path, wanted: str, *, column: int) -> list[str] | None:
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return None
    entries = (line.split(":") for line in lines)
    return next((each for each in entries if len(each) > 3 and each[column] == wanted), None)


def _set(security: Json | None) -> dict[str, Any]:
    return {name: value for name, value in (security or {}).items() if value is not None}
