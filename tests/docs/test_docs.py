"""The docs stay true: every block of code in them is run, and their tables are the code's."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs

import vk
from vk.testing import ProviderContract
from vk.testing.contract.rule import PAGE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)

RUN_BY = {
    "alibabacloud.md": "tests/providers/alibabacloud/test_eci_page.py",
    "eci-emulator.md": "tests/providers/alibabacloud/emulator/test_emulator_process.py",
    "index.md": "tests/cli/test_dev.py",  # `vk dev`
    "tutorial.md": "tests/examples/test_tutorial.py",
}
"""Pages with commands, and the test that runs them; examples' pages are their READMEs."""


@attrs.frozen
class Block:
    """One fenced block."""

    page: str
    language: str
    title: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for info, text in _FENCE.findall(page.read_text()):
            language, _, rest = info.partition(" ")
            yield Block(page.relative_to(DOCS).as_posix(), language, rest, text)


BLOCKS = list(blocks())


def generated() -> ModuleType:
    sys.path.insert(0, str(DOCS / "_pages"))
    try:
        import generated
    finally:
        sys.path.pop(0)
    return generated


def test_blocks_are_of_a_kind_that_something_runs() -> None:
    others = [block for block in BLOCKS if block.language not in ("console", "python", "text")]
    assert [block for block in others if block.page not in RUN_BY] == []


def test_console_blocks_have_a_test_that_runs_them() -> None:
    pages = {block.page for block in BLOCKS if block.language == "console"}
    assert pages <= set(RUN_BY)
    for test in RUN_BY.values():
        assert (ROOT / test).exists()


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


def test_the_command_line_page_has_every_command() -> None:
    from vk.cli.main import command

    page = generated().pages()["reference/cli.md"]
    assert [name for name in command.commands if f"## vk {name}" not in page] == []


def reasons() -> set[tuple[str, str]]:
    """Type and reason of every event that the core's source emits by name."""
    found = set()
    for path in [*(ROOT / "vk").glob("pods/*.py"), *(ROOT / "vk").glob("node/*.py")]:
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
    source = "".join(path.read_text() for path in (ROOT / "vk").glob("*/*.py"))
    assert [reason for _, reason in rows if f'"{reason}"' not in source] == []
