"""House rules of the source files: size, docstrings, names, and the error tree."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import vk
from vk import errors

ROOT = Path(vk.__file__).parent.parent
SOURCES = sorted(
    path.relative_to(ROOT)
    for folder in ("vk", "vk_providers")
    for path in ROOT.glob(f"{folder}/**/*.py")
)
LONGEST = 300
LONGER: dict[str, str] = {}
"""Files that may be longer, each with its reason."""


def test_the_sources_are_found() -> None:
    assert Path("vk/provider.py") in SOURCES
    assert Path("vk_providers/mock/provider.py") in SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_file_is_longer_than_300_lines(path: Path) -> None:
    lines = len((ROOT / path).read_text().splitlines())
    assert lines <= LONGEST or path.as_posix() in LONGER


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_every_public_module_says_what_it_is_for(path: Path) -> None:
    tree = ast.parse((ROOT / path).read_text())
    if path.name.startswith("_") or not tree.body:
        return
    assert ast.get_docstring(tree)


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_nothing_is_left_to_do(path: Path) -> None:
    text = (ROOT / path).read_text()
    assert [word for word in ("TO" + "DO", "FIX" + "ME", "X" * 3) if word in text] == []


def test_the_error_tree_is_documented_as_it_is() -> None:
    """Each class stands in the module's docstring, at the depth of its place in the tree."""
    tree = {
        line.lstrip(" |`-").split()[0]: line.index(line.lstrip(" |`-"))
        for line in (errors.__doc__ or "").splitlines()
        if line.lstrip(" |`-").split()[:1] and line.lstrip(" |`-").split()[0].endswith("Error")
    }
    classes = {name: getattr(errors, name) for name in errors.__all__}
    assert set(tree) == set(classes)
    for name, kind in classes.items():
        depth = sum(issubclass(base, errors.VkError) for base in inspect.getmro(kind)) - 1
        assert tree[name] == 4 + 3 * depth


def test_every_error_is_exported_from_its_module() -> None:
    defined = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined == set(errors.__all__)
