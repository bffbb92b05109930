"""Rules of what the core resolved for the pod: it arrives at the process as it was resolved."""

from __future__ import annotations

import attrs

from vk.models.files import File
from vk.models.pod import Container, Json, Pod, Resolution
from vk.testing.contract.base import Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.probes import VALUE, add, look
from vk.testing.contract.rule import require, rule

__all__ = ["Resolved"]

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

    def _with_files(self, bench: Bench, kind: str) -> Pod:
        mount = {"name": "files", "mountPath": "/vk-contract"}
        volume = {"name": "files", kind: {"name": "any", "secretName": "any"}}
        manifest = add(
            self.pod("cat /vk-contract/file"),
            container={"volumeMounts": [mount]},
            spec={"volumes": [volume]},
        )
        files = {"files": {"file": File(VALUE.encode())}}
        return bench.pod(manifest, Resolution(containers=_containers(manifest), files=files))


def _containers(manifest: Json) -> tuple[Container, ...]:
    return Pod(manifest).containers
