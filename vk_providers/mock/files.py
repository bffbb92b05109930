"""The files of simulated pods, and the commands that show them: ``cat`` and ``ls``.

In: the resolved files of a pod, and a command. Out: the output of the command, or None for any
other command. Nothing is executed. Pure.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence

import attrs

import vk

__all__ = ["CommandOutput", "PodFiles"]


@attrs.frozen
class CommandOutput:
    """Output and exit code of a command."""

    stdout: bytes = b""
    stderr: str = ""
    exit_code: int = 0


@attrs.define(eq=False)
class PodFiles:
    """The volumes with files of one pod, and their mounts."""

    pod: vk.Pod
    volumes: dict[str, vk.FileTree]

    @classmethod
    def of(cls, pod: vk.Pod) -> PodFiles:
        """Return the resolved files of ``pod``."""
        return cls(pod, dict(pod.files))

    def answer(self, container: str, command: Sequence[str]) -> CommandOutput | None:
        """Return the output of ``cat`` or ``ls`` of mounted paths; None for other commands."""
        words = _words(command)
        if len(words) < 2 or words[0] not in ("cat", "ls"):
            return None
        paths = [posixpath.normpath(word) for word in words[1:] if not word.startswith("-")]
        seen = self._seen(container)
        places = {place for place, _ in self._mounts(container)}
        if not paths or not all(_is_below(path, places) for path in paths):
            return None
        return _cat(seen, paths) if words[0] == "cat" else _ls(seen, paths, places)

    def _seen(self, name: str) -> dict[str, vk.File]:
        """Return all files of a container by absolute path."""
        return {
            posixpath.join(place, path) if path else place: file
            for place, files in self._mounts(name)
            for path, file in files.items()
        }

    def _mounts(self, name: str) -> Iterator[tuple[str, Mapping[str, vk.File]]]:
        for container in (*self.pod.init_containers, *self.pod.containers):
            for mount in container.raw.get("volumeMounts") or ():
                if container.name == name and mount["name"] in self.volumes:
                    tree = self.volumes[mount["name"]]
                    place = posixpath.normpath(mount["mountPath"])
                    yield place, vk.files_below(tree, vk.sub_path(mount, container))


def _words(command: Sequence[str]) -> list[str]:
    """Return the arguments of a command, also of one in ``sh -c``."""
    if len(command) == 3 and command[1] == "-c":
        return command[2].split()
    return list(command)


def _is_below(path: str, places: set[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _cat(seen: Mapping[str, vk.File], paths: Sequence[str]) -> CommandOutput:
    missing = [path for path in paths if path not in seen]
    return CommandOutput(
        b"".join(seen[path].content for path in paths if path in seen),
        "".join(f"cat: {path}: No such file or directory\n" for path in missing),
        1 if missing else 0,
    )


def _ls(seen: Mapping[str, vk.File], paths: Sequence[str], places: set[str]) -> CommandOutput:
    lines: list[str] = []
    errors = ""
    for path in paths:
        names = {
            file[len(path) + 1 :].split("/")[0] for file in seen if file.startswith(f"{path}/")
        }
        if path in seen:
            lines.append(path)
        elif names or path in places:
            lines += sorted(names)
        else:
            errors += f"ls: cannot access '{path}': No such file or directory\n"
    text = "".join(f"{line}\n" for line in lines)
    return CommandOutput(text.encode(), errors, 2 if errors else 0)
