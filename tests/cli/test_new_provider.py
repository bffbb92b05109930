"""`vk new-provider`: what it refuses. What it writes is tried in tests/examples."""

from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vk.cli.main import command

ROOT = Path(__file__).parents[2]


def invoke(name: str) -> Result:
    return CliRunner().invoke(command, ["new-provider", name])


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "vk-acme").mkdir()
    (tmp_path / "vk-acme" / "README.md").write_text("mine")
    result = invoke("acme")
    assert result.exit_code == 2
    assert result.stderr == "vk: error: vk-acme is there already: nothing is overwritten\n"
    assert [path.name for path in (tmp_path / "vk-acme").iterdir()] == ["README.md"]
    assert (tmp_path / "vk-acme" / "README.md").read_text() == "mine"


def test_every_file_of_the_template_is_packed() -> None:
    """An installation that is not editable has only what setup.cfg names."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["vk"].split(", ")
    packed = {path for pattern in patterns for path in (ROOT / "vk").glob(pattern)}
    files = {path for path in (ROOT / "vk" / "template").rglob("*") if path.is_file()}
    assert {path for path in files if "__pycache__" not in path.parts} <= packed


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Acme", "NAME: expected lower-case letters"),
        ("../acme", "NAME: expected lower-case letters"),
        ("a" * 41, "NAME: expected lower-case letters"),
        ("acme-", "NAME: expected lower-case letters"),
        ("mock", "there is a provider 'mock' already"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(name: str, told: str, tmp_path: Path) -> None:
    result = invoke(name)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("vk: error: ") and told in line
    assert list(tmp_path.iterdir()) == []
