"""Golden trees of downward API volumes: pod in, files out, as the kubelet writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from volume_cases import shown, tree, trees

from vk.errors import InvalidInputError

GOLDEN = sorted((Path(__file__).parents[2] / "golden" / "downward").glob("*.yaml"))


def test_there_are_golden_trees() -> None:
    assert len(GOLDEN) >= 2


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_downward_volume_is_the_golden_tree(path: Path) -> None:
    case = yaml.safe_load(path.read_text(encoding="utf-8"))
    found = {name: shown(files) for name, files in trees(case["pod"]).items()}
    assert found == {
        volume: {name: (file["content"], file["mode"]) for name, file in files.items()}
        for volume, files in case["files"].items()
    }


@pytest.mark.parametrize(
    "item",
    [
        {"path": "x", "fieldRef": {"fieldPath": "spec.nothing"}},
        {"path": "x", "resourceFieldRef": {"containerName": "absent", "resource": "limits.cpu"}},
        {"path": "x", "resourceFieldRef": {"containerName": "main", "resource": "colour"}},
    ],
)
def test_a_reference_to_nothing_is_refused_with_its_field(item: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=r"^spec.volumes\[0\].downwardAPI.items\[0\]: "):
        tree({"downwardAPI": {"items": [item]}})
