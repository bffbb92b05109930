"""House rules of the source files: size, docstrings, names, and the error tree."""

from __future__ import annotations

import ast
import inspect
from collections import Counter
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
LONG = 600
"""Lines above which a module's docstring says why it is one idea."""


def test_the_sources_are_found() -> None:
    assert Path("vk/provider.py") in SOURCES
    assert Path("vk_providers/mock/provider.py") in SOURCES


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_file_above_600_lines_says_why_it_is_one_idea(path: Path) -> None:
    text = (ROOT / path).read_text()
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert len(text.splitlines()) <= LONG or "One idea" in docstring


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_a_record_is_changed_by_its_own_methods_alone(path: Path) -> None:
    """So each change of what is remembered of a pod is a transition with a name."""
    if path == Path("vk/pods/sync/records.py"):
        return
    targets = [
        target
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for target in ast.walk(target)
        if isinstance(target, ast.Attribute) and isinstance(target.ctx, ast.Store)
    ]
    assert [ast.unparse(one) for one in targets if ast.unparse(one.value) == "record"] == []


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


def test_a_class_has_a_name_of_its_own_in_the_whole_tree() -> None:
    """The emulator stands for a program of the vendor: its names are its own."""
    names = [
        node.name
        for path in SOURCES
        if "emulator" not in path.parts
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(name for name, count in Counter(names).items() if count > 1) == []
