"""The docs stay true: every block of code in them is run, and their tables are the code's."""

from __future__ import annotations

import ast
import re
import sys
from types import ModuleType

import attrs
import pytest
from doc_blocks import ROOT, blocks

import vk
from vk.cli.field_help import field_help
from vk.testing import ProviderContract
from vk.testing.contract.rule import PAGE

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
PAGES = [
    "README.md",
    *(path.relative_to(ROOT).as_posix() for path in sorted(DOCS.rglob("*.md"))),
    *(path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("vk_providers/*/*.md"))),
]
"""The examples' READMEs are run by tests/examples, whole."""
BLOCKS = [block for page in PAGES for block in blocks(page)]
NOT_RUN = {
    (
        "docs/operations/install.md",
        "$ podman build",
    ): "takes its base image from a registry; tests/deploy/test_image.py checks what it installs",
}
"""Blocks that no test can run, and why."""


def generated() -> ModuleType:
    sys.path.insert(0, str(DOCS / "_pages"))
    try:
        import generated
    finally:
        sys.path.pop(0)
    return generated


def asked_for() -> set[tuple[str, str]]:
    """Page and beginning of what the tests ask `block` for; of `blocks`, which is all: empty."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                if node.func.id in ("block", "blocks") and words:
                    found.add((str(words[0]), str(words[1]) if len(words) > 1 else ""))
    return found


def test_every_block_has_a_test_that_runs_it() -> None:
    """Text is what something prints, or a picture; Python without a title is run below."""
    asked = asked_for() | set(NOT_RUN)
    assert [
        (one.page, one.text)
        for one in BLOCKS
        if one.language != "text" and (one.language != "python" or one.title)
        if not any(one.page == page and one.text.startswith(begins) for page, begins in asked)
    ] == []
    assert [one for one in BLOCKS if one.language == "text" and "$ " in one.text] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_fenced_at_the_margin(page: str) -> None:
    """Other forms of code would not be seen here."""
    prose = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"```|~~~|<pre|<code|(?<=\n)\n(?: {4}|\t).*", prose) == []


async def test_blocks_of_python_that_stand_alone_run() -> None:
    """Those with a title are files, which the test of their page writes."""
    for block in BLOCKS:
        if block.language == "python" and not block.title:
            code = compile(block.text, block.page, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            waiting = eval(code, {"__name__": "docs"})
            if waiting is not None:
                await waiting


def test_the_examples_pages_are_the_examples() -> None:
    """So their blocks are run by tests/examples."""
    pages = generated().pages()
    folders = sorted((ROOT / "examples").glob("[0-9][0-9]-*"))
    assert len(folders) == 9
    for folder in folders:
        page = pages[f"how-to/{folder.name}.md"]
        for file in folder.glob("*.py"):
            assert file.read_text() in page


def test_the_api_page_has_every_public_name() -> None:
    page = generated().pages()["reference/api.md"]
    shown = {line.rpartition(".")[2] for line in page.splitlines() if line.startswith("::: ")}
    assert shown == set(vk.__all__) - {"__version__"}


def test_the_contract_page_has_the_heading_that_a_failure_names() -> None:
    page = generated().pages()["reference/contract.md"]
    headings = set(re.findall(r"^## (.*)$", page, re.MULTILINE))
    rules = {name.removeprefix("test_") for name in dir(ProviderContract) if "test_" in name}
    assert headings == {name.replace("_", " ") for name in rules}
    assert PAGE == "docs/reference/contract.md"


def test_the_settings_page_has_every_flag_and_variable() -> None:
    from vk.cli.options import OPTIONS

    page = generated().pages()["reference/settings.md"]
    for option in OPTIONS:
        assert not option.flag or f"`--{option.flag}`" in page
        assert not option.variable or f"`{option.variable}`" in page


def test_each_field_of_the_settings_is_explained() -> None:
    page = generated().pages()["reference/settings.md"]
    explained = field_help(vk.Settings)
    for field in attrs.fields(vk.Settings):
        assert explained.get(field.name), f"vk.Settings.{field.name} has no docstring"
        assert f"| `{field.name}` | {explained[field.name].replace('``', '`')} |" in page


def test_the_command_line_page_has_every_command() -> None:
    from vk.cli.main import command

    page = generated().pages()["reference/cli.md"]
    assert [name for name in command.commands if f"## vk {name}" not in page] == []


def reasons() -> set[tuple[str, str]]:
    """Type and reason of every event that the core's source emits by name."""
    found = set()
    for path in [*(ROOT / "vk").glob("pods/**/*.py"), *(ROOT / "vk").glob("node/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                words = [one.value for one in node.args if isinstance(one, ast.Constant)]
                if len(words) > 1 and words[0] in ("Normal", "Warning"):
                    found.add((words[0], words[1]))
    return found


def test_the_events_page_has_every_event() -> None:
    page = (DOCS / "reference" / "events.md").read_text()
    rows = set(re.findall(r"^\| (Normal|Warning) \| `(\w+)` \|", page, re.MULTILINE))
    assert reasons() <= rows
    source = "".join(path.read_text() for path in (ROOT / "vk").rglob("*.py"))
    assert [reason for _, reason in rows if f'"{reason}"' not in source] == []


def test_the_metrics_page_has_every_metric() -> None:
    """By the names in the source; those of the provider's calls are put together there."""
    page = (DOCS / "reference" / "metrics.md").read_text()
    rows = set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|", page, re.MULTILINE))
    files = ("metrics.py", "kubelet.py", "server/server.py", "pods/sync/gauges.py")
    source = "".join((ROOT / "vk" / file).read_text() for file in files)
    named = set(re.findall(r'"((?:kubelet|vk|workqueue|rest_client)_\w+)"', source))
    calls = "kubelet_runtime_operations"
    ends = re.findall(r'f"\{base\}(_\w+)"', source)
    assert rows == named - {calls} | {f"{calls}{end}" for end in ends}
