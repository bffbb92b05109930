"""Rules of what the core resolved for the pod: it arrives at the process as it was resolved."""

from __future__ import annotations

import attrs
import pytest

from vk.errors import UnsupportedError
from vk.models.files import File
from vk.models.keys import ContainerKey
from vk.models.pod import Container, Json, Pod, Resolution
from vk.testing.contract.base import CONTAINER, STAYS, Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.clients import ExecClient
from vk.testing.contract.probes import VALUE, add, look
from vk.testing.contract.rule import require, rule

__all__ = ["Resolved"]

_CHANGED = b"changed"
_LOOK = "cat /vk-contract/file"
_ENV = "spec.containers[].env"
_KINDS = ("configMap", "secret", "projected", "downwardAPI")


class Resolved(Base):
    """Environment and files, where the provider's FieldTable says that they are honoured."""

    @rule
    async def test_the_resolved_environment_is_delivered(self, bench: Bench) -> None:
        """A process finds the variables of `Pod.containers`, not those of the raw object."""
        if not bench.provider.fields.honours(_ENV):
            return
        raw = {"env": [{"name": "VK_CONTRACT", "value": "not resolved"}]}
        manifest = add(self.pod("printenv VK_CONTRACT"), container=raw)
        (container,) = _containers(manifest)
        resolved = attrs.evolve(container, env={"VK_CONTRACT": VALUE})
        pod = bench.pod(manifest, Resolution(containers=(resolved,)))
        seen = await look(self, bench, pod, _ENV)
        require(seen == VALUE, f"the variable is {VALUE!r}, the process sees {seen!r}")

    @rule
    async def test_the_resolved_files_are_delivered(self, bench: Bench) -> None:
        """The files of `Pod.files` lie where the container mounts their volume."""
        for kind in _KINDS:
            path = f"spec.volumes[].{kind}"
            if bench.provider.fields.honours(path) and "files" in bench.provider.resolves:
                seen = await look(self, bench, self._with_files(bench, kind), path)
                require(
                    seen == VALUE, f"a file of a {kind} is {VALUE!r}, the process sees {seen!r}"
                )

    @rule
    async def test_changed_files_are_delivered(self, bench: Bench) -> None:
        """After update_files a container finds the new content, or update_files is unsupported."""
        path = "spec.volumes[].configMap"
        if not bench.provider.fields.honours(path) or "files" not in bench.provider.resolves:
            return
        pod = self._with_files(bench, "configMap", script=STAYS)
        await bench.create(pod)
        await bench.until(pod, bench.is_running, "the pod runs")
        try:
            files = {"file": File(_CHANGED)}
            await bench.call("update_files", bench.provider.update_files(pod.key, "files", files))
        except UnsupportedError:
            return
        client, key = ExecClient(), ContainerKey(pod.key, CONTAINER)
        try:
            (look,) = _containers(self.pod(_LOOK))
            command = [*look.command, *look.args]
            await bench.call("exec", bench.provider.exec(key, command, client))
        except UnsupportedError:
            pytest.skip("this provider has no exec to see it with")
        seen = bytes(client.stdout.received)
        require(seen == _CHANGED, f"the file became {_CHANGED!r}, the process sees {seen!r}")

    def _with_files(self, bench: Bench, kind: str, *, script: str = _LOOK) -> Pod:
        mount = {"name": "files", "mountPath": "/vk-contract"}
        volume = {"name": "files", kind: {"name": "any", "secretName": "any"}}
        manifest = add(
            self.pod(script),
            container={"volumeMounts": [mount]},
            spec={"volumes": [volume]},
        )
        files = {"files": {"file": File(VALUE.encode())}}
        return bench.pod(manifest, Resolution(containers=_containers(manifest), files=files))


def _containers(manifest: Json) -> tuple[Container, ...]:
    return Pod(manifest).containers
