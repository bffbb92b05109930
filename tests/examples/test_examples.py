"""Every example as its README tells: a reader's commands, a real kubectl, the printed lines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from console import Console
from doc_blocks import ROOT, Step, blocks, fits

EXAMPLES = sorted(path for path in (ROOT / "examples").glob("[0-9][0-9]-*") if path.is_dir())
CONSOLES = [path for path in EXAMPLES if path.name != "05-testing"]


def steps(folder: Path) -> list[Step]:
    """Return all steps of an example's README, which has blocks of no other kind."""
    page = blocks(f"examples/{folder.name}/README.md")
    assert {one.language for one in page} == {"console"}
    return [step for one in page for step in one.steps()]


def test_there_are_nine() -> None:
    assert [path.name[:2] for path in EXAMPLES] == [f"{number:02}" for number in range(1, 10)]


@pytest.mark.slow
@pytest.mark.parametrize("folder", CONSOLES, ids=lambda path: path.name)
async def test_an_example_does_what_its_readme_shows(folder: Path, tmp_path: Path) -> None:
    page = steps(folder)
    assert len(page) > 2
    async with Console(tmp_path) as console:
        for step in page:
            await console.run(step)


@pytest.mark.slow
def test_the_tests_of_the_testing_example_pass() -> None:
    folder = ROOT / "examples" / "05-testing"
    commands = [step.command for step in steps(folder)]
    assert commands[1] == "pytest examples/05-testing"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short(folder: Path) -> None:
    """It is read in one sitting; the smallest one fits on a screen, and so does the server."""
    limits = {"01-minimal/provider.py": 40, "07-rest-backend/server.py": 60}
    for path in folder.glob("*.py"):
        longest = limits.get(f"{folder.name}/{path.name}", 250)
        assert len(path.read_text().splitlines()) <= longest


@pytest.mark.parametrize(
    ("printed", "text", "same"),
    [
        (["NAME  READY", "egg   0/1 ..."], "NAME   READY\negg    0/1     Completed   2s\n", True),
        (["egg 0/1"], "egg 1/1\n", False),
        (["vk-... Running"], "vk-123 Running", True),
        (["a", "b"], "a\n", False),
        (["a"], "a\nb\n", False),
        (["a.b"], "axb", False),
    ],
)
def test_lines_are_compared_as_a_reader_would(printed: list[str], text: str, same: bool) -> None:
    assert fits(printed, text) is same
