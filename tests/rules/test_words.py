"""The words of the field in code, tests and docs: none of a private dialect."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = re.compile(
    r"surprising:|say whether|\b(?:nobody|somebody|whoever)\b|\b(?:he|his|him)\b|\bfor ever\b"
    r"|\(design \d|who asks\b",
    re.IGNORECASE,
)
QUOTED = {
    "tests/fidelity/": "names of users, classes and signers in requests and answers",
    "tests/rules/test_words.py": "the words themselves",
}
"""Where such a word is a value, each with its reason."""


def files() -> list[str]:
    """Return the text files of the project."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.pyi", "*.md", "*.cfg", "*.toml", "*.yaml"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for path in listed.stdout.splitlines() if not path.startswith(tuple(QUOTED))]


@pytest.mark.parametrize("path", files())
def test_no_word_of_a_private_dialect(path: str) -> None:
    lines = (ROOT / path).read_text().splitlines()
    found = [f"{number}: {line}" for number, line in enumerate(lines, 1) if FORBIDDEN.search(line)]
    assert found == []


SPEECH = re.compile(r'^\s*"""(?:Whether|Tell|Say|Give)\b|\b(?:tells?|told|says?|said)\b')
SPEECHLESS = ("vk/devcluster/", "vk/cli/dev/")


@pytest.mark.parametrize("path", [path for path in files() if path.startswith(SPEECHLESS)])
def test_programs_do_not_speak_and_docstrings_begin_with_an_imperative(path: str) -> None:
    lines = (ROOT / path).read_text().splitlines()
    found = [f"{number}: {line}" for number, line in enumerate(lines, 1) if SPEECH.search(line)]
    assert found == []
