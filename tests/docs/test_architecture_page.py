"""The walk through the code names files and functions that are there, and is short."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/explanation/architecture.md").read_text()


def names_of(path: Path) -> set[str]:
    """Return every function and class of a module."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}


def test_each_step_of_a_pods_way_is_in_its_file() -> None:
    steps = re.split(r"^\d+\. ", PAGE.partition("## The way")[2].partition("\n## ")[0], flags=re.M)
    assert 5 <= len(steps[1:]) <= 10
    for step in steps[1:]:
        (link,) = re.findall(r"\]\(\.\./\.\./(vk/[\w/]+\.py)\)", step)
        words = re.findall(r"`([A-Za-z_.]+)`", step.partition("):")[2])
        known = names_of(ROOT / link) | {"create_pod"}
        named = [word.rpartition(".")[2] for word in words if not word.endswith(".py")]
        assert named and set(named) <= known, (link, set(named) - known)


def test_every_file_and_folder_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(vk/[\w/.]+)`", PAGE))
    assert len(named) > 25
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_room_is_on_the_map() -> None:
    rows = set(re.findall(r"^\| `(vk/[\w/]+)` \|", PAGE, re.M))
    rooms = {
        f"vk/{path.name}" for path in (ROOT / "vk").iterdir() if (path / "__init__.py").exists()
    }
    assert rooms - rows == {"vk/pods"}
