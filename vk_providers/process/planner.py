"""Computes the plan of a pod for its supervisor: command, environment, user, mounts.

In: the pod with its address, the configuration, and the isolation. Out: a `plan.PodPlan`, with its
folders and files created below the pod's files folder.

Without isolation, volumes are not mounted at their ``mountPath``: VK_VOLUMES is the folder of the
volumes, and VK_TERMINATION_MESSAGE the file of the termination message.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

import vk
from vk_providers.process.config import Image, ProcessConfig
from vk_providers.process.images import command_line, find_image
from vk_providers.process.isolation import Bubblewrap, own_folders
from vk_providers.process.mounts import Mount
from vk_providers.process.plan import ContainerPlan, PodPlan
from vk_providers.process.users import ContainerUser, container_user
from vk_providers.process.volumes import Volumes, normal

__all__ = ["VOLUMES", "PodPlanner"]

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MESSAGE = "/dev/termination-log"
_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
"""
_MACHINE = Path("/")

VOLUMES = "volumes"
"""The folder of a pod's volumes in its files folder."""


@attrs.frozen(kw_only=True)
class PodPlanner:
    """Computes the plan of one pod."""

    pod: vk.Pod
    """With its addresses filled in."""
    ip: str
    files: Path
    """The pod's files folder; exists."""
    config: ProcessConfig
    isolation: Bubblewrap | None
    own_network: bool

    def plan(self) -> PodPlan:
        """Return the plan; idempotent. Raises InvalidInputError for a pod that cannot run here."""
        self._volumes.make()
        containers = [self._container(each, initial=True) for each in self.pod.init_containers]
        containers += [self._container(each, initial=False) for each in self.pod.containers]
        (self.files / "hosts").write_text(self._hosts(), encoding="utf-8")
        (self.files / "hosts").chmod(0o644)
        return PodPlan(
            key=self.pod.key,
            restart_policy=self.pod.restart_policy,
            grace_period=self.pod.grace_period,
            log_limit=self.config.log_size,
            log_files=self.config.log_files,
            containers=containers,
        )

    @property
    def _volumes(self) -> Volumes:
        return Volumes(pod=self.pod, folder=self.files / VOLUMES)

    @property
    def hostname(self) -> str:
        """The pod's host name, truncated to 63 characters."""
        return (self.pod.spec.get("hostname") or self.pod.key.name)[:63].rstrip("-.")

    def _container(self, container: vk.Container, *, initial: bool) -> ContainerPlan:
        image = find_image(self.config.images, container.image)
        argv, used = command_line(container, image), image or Image()
        root = Path(used.root)
        user = container_user(container.raw, self.pod.spec, image_user=used.user, root=root)
        message = self._message_file(container.name)
        env = {"PATH": _PATH, "HOSTNAME": self.hostname, "HOME": user.home, **used.env}
        where = {
            "message_file": str(message),
            "uid": user.uid,
            "gid": user.gid,
            "groups": user.groups,
        }
        plan = ContainerPlan.of(container, argv=argv, host=self.ip, initial=initial, **where)
        wanted = container.raw.get("workingDir") or used.working_dir
        if self.isolation is None:
            if root != _MACHINE:
                text = f"image {container.image!r} has a root folder, which needs bubblewrap"
                raise vk.InvalidInputError(text, reason="NotIsolated")
            extra = {
                "VK_VOLUMES": str(self.files / VOLUMES),
                "VK_TERMINATION_MESSAGE": str(message),
            }
            folder = self._volumes.on_machine(container, wanted) if wanted else str(self.files)
            return attrs.evolve(plan, env={**env, **extra, **container.env}, cwd=folder)
        fields = self._namespace_fields(self.isolation, container, root, user)
        return attrs.evolve(plan, env={**env, **container.env}, cwd=wanted or "/", **fields)

    def _namespace_fields(
        self, isolation: Bubblewrap, container: vk.Container, root: Path, user: ContainerUser
    ) -> dict[str, Any]:
        if user.uid not in (None, os.geteuid()) and isolation.refused_users:
            text = f"isolated processes cannot run as another user: {isolation.refused_users}"
            raise vk.InvalidInputError(text, reason="CreateContainerConfigError")
        mounts = list(self._mounts(container, root))
        return {
            "namespaces": isolation.namespaces(root=root, mounts=mounts, hostname=self.hostname),
            "confined_mounts": isolation.confined_mounts(root=root, mounts=mounts),
        }

    def _mounts(self, container: vk.Container, root: Path) -> Iterator[Mount]:
        covered = any(self.config.folder.is_relative_to(each.target) for each in own_folders())
        if root == _MACHINE and not covered:  # hides the state of other pods
            yield Mount(target=str(self.config.folder), option="--tmpfs", mode="0700")
        resolver = os.path.realpath("/etc/resolv.conf")
        if os.path.exists(resolver):
            yield Mount(target="/etc/resolv.conf", option="--ro-bind", source=resolver)
        yield Mount(target="/etc/hosts", option="--ro-bind", source=str(self.files / "hosts"))
        yield from self._volumes.mounts(container)
        path = normal(container.raw.get("terminationMessagePath") or _MESSAGE)
        yield Mount(target=path, option="--bind", source=str(self._message_file(container.name)))

    def _message_file(self, container: str) -> Path:
        """Create the file of a container's termination message, writable by any user."""
        folder = self.files / "messages"
        folder.mkdir(mode=0o711, exist_ok=True)
        folder.chmod(0o711)
        file = folder / container
        file.touch()
        file.chmod(0o666)
        return file

    def _hosts(self) -> str:
        base = _HOSTS if self.own_network else _machine_hosts()
        lines = [f"{self.ip}\t{self.hostname}"]
        lines += [f"{alias.ip}\t{' '.join(alias.hostnames)}" for alias in self.pod.hosts]
        return base + "".join(f"{line}\n" for line in lines)


def _machine_hosts() -> str:
    try:
        return Path("/etc/hosts").read_text(errors="replace").rstrip("\n") + "\n"
    except OSError:
        return _HOSTS
