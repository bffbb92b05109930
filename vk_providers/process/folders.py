"""The folders of a node's pods below the state folder.

``CLUSTER/NODE/pods/UID`` belongs to the supervisor: logs, socket, status, and ``pod.json``, which
identifies the pod. ``CLUSTER/NODE/files/UID`` is accessible to processes: volumes, termination
messages, the hosts file. They are separate since other users need access to the second and must not
have access to the first. Nothing is cached in memory.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Self

import attrs

import vk

__all__ = ["PodFolders", "PodIdentity"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)


@attrs.frozen(kw_only=True)
class PodIdentity:
    """The pod of a folder, and its settings that never change."""

    key: vk.PodKey
    ip: str
    """The pod's address."""
    own_network: bool = False
    """Whether the pod has its own network namespace, and so its own address."""


@attrs.frozen
class PodFolders:
    """The folders of one node in one cluster. All methods are idempotent."""

    _base: Path

    @classmethod
    def of(cls, state: Path, *, cluster_uid: str, node_name: str) -> Self:
        """Create the folders; raises ConfigError where that fails."""
        folders = cls(state / _part(cluster_uid) / _part(node_name))
        try:
            for kind in ("pods", "files"):
                (folders._base / kind).mkdir(parents=True, exist_ok=True)
            for path in (folders._base / "files", folders._base, folders._base.parent, state):
                path.chmod(0o711)
            (folders._base / "pods").chmod(0o700)
        except OSError as error:
            raise vk.ConfigError(f"state: expected a folder that can be written: {error}") from None
        return folders

    def pod(self, uid: str) -> Path:
        """Return the supervisor's folder; raises InvalidInputError for an invalid UID."""
        return self._base / "pods" / _part(uid)

    def files(self, uid: str) -> Path:
        """Return the folder that the pod's processes may access."""
        return self._base / "files" / _part(uid)

    def uids(self) -> list[str]:
        """Return the UIDs of all pods that have a folder here."""
        return sorted({path.name for kind in ("pods", "files") for path in self._kind(kind)})

    def save(self, identity: PodIdentity) -> None:
        """Create the pod's folders and write its identity."""
        uid = identity.key.uid
        self.pod(uid).mkdir(mode=0o700, exist_ok=True)
        self.files(uid).mkdir(mode=0o711, exist_ok=True)
        self.files(uid).chmod(0o711)  # whatever the umask is
        fresh = self.pod(uid) / "pod.json.new"
        fresh.write_text(json.dumps(attrs.asdict(identity)), encoding="utf-8")
        fresh.replace(self.pod(uid) / "pod.json")

    def load(self, uid: str) -> PodIdentity | None:
        """Return the identity of the pod's folder; None where it was not written."""
        try:
            raw = json.loads((self.pod(uid) / "pod.json").read_bytes())
        except FileNotFoundError:
            return None
        return PodIdentity(**{**raw, "key": vk.PodKey(**raw["key"])})

    def remove_files(self, uid: str) -> None:
        """Remove the volumes."""
        shutil.rmtree(self.files(uid), ignore_errors=True)

    def remove(self, uid: str) -> None:
        """Remove all folders of a pod."""
        self.remove_files(uid)
        shutil.rmtree(self.pod(uid), ignore_errors=True)

    def _kind(self, kind: str) -> list[Path]:
        return [path for path in (self._base / kind).iterdir() if path.is_dir()]


def _part(name: str) -> str:
    """Return ``name``, which becomes one part of a path; raises InvalidInputError."""
    if not _NAME.fullmatch(name):
        raise vk.InvalidInputError(f"{name!r} cannot be the name of a folder")
    return name
