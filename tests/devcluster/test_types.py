"""The table of types has every field of the API's structs, and no other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from doc_blocks import ROOT, block
from isolation_here import IN_CI

from vk.devcluster.kinds import KINDS
from vk.devcluster.validation.types import Shape, struct_of

MODELS = {
    "EndpointPort": "CoreV1EndpointPort",
    "Event": "CoreV1Event",
    "EventSeries": "CoreV1EventSeries",
    "ResourceClaim": "CoreV1ResourceClaim",
    "Subject": "RbacV1Subject",
    "TokenRequest": "AuthenticationV1TokenRequest",
    "discovery.EndpointPort": "DiscoveryV1EndpointPort",
    "events.Event": "EventsV1Event",
    "events.EventSeries": "EventsV1EventSeries",
}


@pytest.mark.slow
def test_the_table_of_types_has_the_fields_of_the_published_models() -> None:
    """kubernetes_asyncio 36 is generated from the same version of the API."""
    from kubernetes_asyncio.client import models

    names = every_struct("Pod", "Node", "Service", "Secret", "ConfigMap", "Namespace")
    assert len(names) > 150
    for name in names:
        model = getattr(models, MODELS.get(name, f"V1{name}"))
        assert {*model.attribute_map.values()} == {*struct_of(name).fields}, name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("go") is None and not IN_CI, reason="Go is not installed")
def test_the_documented_command_generates_the_table_that_is_in_the_repository(
    tmp_path: Path,
) -> None:
    table = Path("vk/devcluster/validation/types.txt")
    shutil.copytree(ROOT / "tools/types", tmp_path / "tools/types")
    (tmp_path / table.parent).mkdir(parents=True)
    command = block("CONTRIBUTING.md", "cd tools/types").text
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert (tmp_path / table).read_text() == (ROOT / table).read_text()


def every_struct(*roots: str) -> set[str]:
    found: set[str] = set()
    left = [*roots, *(kind.name for kind in KINDS)]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        left += [
            inner for field in struct_of(name).fields.values() for inner in inside(field.shape)
        ]
    return found


def inside(shape: Shape) -> list[str]:
    if shape.element is not None:
        return inside(shape.element)
    return [shape.struct] if shape.struct else []
