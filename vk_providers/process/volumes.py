"""The volumes of one pod: their folders, and the mounts of its containers.

In: the pod with what the core resolved of it. Out: folders ``volumes/NAME``, and for a container
its mounts. Used by `planner` for a new pod, and by `runtime` when files change.

A volume of files is mounted as a folder of symbolic links (`vk.write_files`), so that running
processes see updates; a subPath of one is a single file, which stays unchanged until the container
restarts, as with a kubelet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

import vk
from vk_providers.process.mounts import Mount
from vk_providers.process.supervisor.beneath import open_beneath

__all__ = ["Volumes", "normal"]

_FILES = ("configMap", "secret", "downwardAPI", "projected")
_CLAIMS = ("persistentVolumeClaim", "ephemeral")
_ABSENT = ".absent"
"""An empty folder for a subPath of missing files; no volume can have this name."""


def normal(path: str) -> str:
    """Return ``path`` as an absolute one without dots."""
    return os.path.normpath(f"/{path.lstrip('/')}")


@attrs.frozen(kw_only=True)
class Volumes:
    """The volumes of ``pod``, in ``folder``; idempotent. Raises InvalidInputError."""

    pod: vk.Pod
    folder: Path

    def make(self) -> None:
        """Create all volumes, their subPath folders and mount points."""
        self.folder.mkdir(mode=0o711, exist_ok=True)
        self.folder.chmod(0o711)
        for name, volume in self.pod.volumes.items():
            if volume.kind in _FILES:
                self._write(name, self.pod.files.get(name, {}))
            elif volume.kind == "emptyDir":
                (self.folder / name).mkdir(exist_ok=True)
                self._open_to_all(self.folder / name)
            else:
                self._link(name, _machine_path(volume))
        for container in (*self.pod.init_containers, *self.pod.containers):
            for mount in _volume_mounts(container):
                self._make_sub_path(mount, container)
            for mount in _volume_mounts(container):
                self._make_place(mount, container)

    def mounts(self, container: vk.Container) -> Iterator[Mount]:
        """Yield the mounts of a container, the outer ones first."""
        for mount in sorted(_volume_mounts(container), key=lambda each: str(each["mountPath"])):
            volume = self.pod.volumes.get(mount["name"])
            if volume is not None:
                fixed = mount.get("readOnly") or volume.kind in _FILES or _reads_only(volume)
                path = "" if volume.kind in _FILES else vk.sub_path(mount, container)
                yield Mount(
                    target=normal(mount["mountPath"]),
                    option="--ro-bind" if fixed else "--bind",
                    source=str(self._source(mount, container)),
                    inside=(str(self.folder / volume.name), path) if path else None,
                )

    def on_machine(self, container: vk.Container, path: str) -> str:
        """Return the host path of ``path`` in a container that is not isolated."""
        wanted = PurePosixPath(normal(path))
        for mount in _volume_mounts(container):
            target = PurePosixPath(normal(mount["mountPath"]))
            if mount["name"] in self.pod.volumes and wanted.is_relative_to(target):
                return str(self._source(mount, container) / wanted.relative_to(target))
        return path

    def _source(self, mount: Mapping[str, Any], container: vk.Container) -> Path:
        name, path = str(mount["name"]), vk.sub_path(mount, container)
        if path and self._holds_files(name) and not self._files_below(name, path):
            return self.folder / _ABSENT
        return self.folder / name / path

    def _holds_files(self, name: str) -> bool:
        return name in self.pod.volumes and self.pod.volumes[name].kind in _FILES

    def _files_below(self, name: str, path: str) -> Mapping[str, vk.File]:
        return vk.files_below(self.pod.files.get(name, {}), path)

    def _open_to_all(self, folder: Path | int) -> None:
        group = (self.pod.spec.get("securityContext") or {}).get("fsGroup")
        if group is not None:
            os.chown(folder, -1, group)
        os.chmod(folder, 0o777 if group is None else 0o2777)

    def _write(self, name: str, files: vk.FileTree) -> None:
        try:
            vk.write_files(self.folder / name, files)
        except PermissionError as error:
            text = f"volume {name!r}: vk cannot change the owner of its files: {error.strerror}"
            raise vk.InvalidInputError(text, reason="CreateContainerConfigError") from None

    def _link(self, name: str, path: Path) -> None:
        place = self.folder / name
        place.unlink(missing_ok=True)
        place.symlink_to(path)

    def _make_sub_path(self, mount: Mapping[str, Any], container: vk.Container) -> None:
        volume, path = self.pod.volumes.get(mount["name"]), vk.sub_path(mount, container)
        if volume is None or not path:
            return
        if volume.kind in _FILES:
            if any(above in self.pod.files.get(volume.name, {}) for above in _above(path)):
                where = f"subPath of volumeMounts {mount['mountPath']!r} of {container.name!r}"
                text = f"{where}: volume {volume.name!r} has a file above {path!r}"
                raise vk.InvalidInputError(text, reason="CreateContainerConfigError")
            if not self._files_below(volume.name, path):
                (self.folder / _ABSENT).mkdir(mode=0o755, exist_ok=True)
                (self.folder / _ABSENT).chmod(0o755)
            return
        try:
            os.close(open_beneath(str(self.folder / volume.name), path, self._open_to_all))
        except OSError as error:
            text = f"volume {volume.name!r}: subPath {path!r}: {error.strerror}"
            raise vk.InvalidInputError(text, reason="CreateContainerConfigError") from None

    def _make_place(self, mount: Mapping[str, Any], container: vk.Container) -> None:
        """Create the mount point of a mount inside of a read-only volume of files."""
        target = PurePosixPath(normal(mount["mountPath"]))
        for outer in _volume_mounts(container):
            root, name = PurePosixPath(normal(outer["mountPath"])), str(outer["name"])
            inside = target != root and target.is_relative_to(root)
            if not inside or not self._holds_files(name) or vk.sub_path(outer, container):
                continue
            inner = target.relative_to(root)
            if (self.folder / name / inner.parts[0]).is_symlink():
                continue  # one of the files, or impossible
            is_file = self._source(mount, container).is_file()
            _make_folders(self.folder / name, inner.parent if is_file else inner)
            if is_file:
                (self.folder / name / inner).touch()


def _machine_path(volume: vk.Volume) -> Path:
    """Return the host folder of a claim."""
    if volume.kind not in _CLAIMS:
        text = f"volume {volume.name!r}: this provider does not mount volumes of kind {volume.kind}"
        raise vk.InvalidInputError(text, reason="UnsupportedVolume")
    spec = (volume.persistent_volume or {}).get("spec") or {}
    if isinstance(volume.source, vk.HostPath):
        path, kind = Path(volume.source.path), volume.source.type
        if "hostPath" in spec and kind in ("", "DirectoryOrCreate"):
            path.mkdir(parents=True, exist_ok=True)
    else:
        expected = "expected a PersistentVolume of kind hostPath or local"
        text = f"volume {volume.name!r}: {expected}"
        raise vk.InvalidInputError(text, reason="UnsupportedVolume")
    if not path.exists():
        text = f"volume {volume.name!r}: {path} does not exist on this machine"
        raise vk.InvalidInputError(text, reason="UnsupportedVolume")
    return path


def _make_folders(folder: Path, path: PurePosixPath) -> None:
    """Create the folders of ``path`` below ``folder`` with mode 0755."""
    for part in path.parts:
        folder /= part
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def _above(path: str) -> list[str]:
    return [str(each) for each in PurePosixPath(path).parents]


def _reads_only(volume: vk.Volume) -> bool:
    return volume.kind in _CLAIMS and bool(volume.raw.get("readOnly"))


def _volume_mounts(container: vk.Container) -> list[Mapping[str, Any]]:
    return list(container.raw.get("volumeMounts") or ())
