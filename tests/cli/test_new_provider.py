"""`vk new-provider` as its user meets it: a package that installs, passes its tests and runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
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


def environment(folder: Path) -> Path:
    """Make a virtual environment that sees this one's packages; return its python."""
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = [sysconfig.get_path("purelib"), str(ROOT)]
    (site / "ours.pth").write_text("".join(f"import site; site.addsitedir({o!r})\n" for o in ours))
    return folder / "bin" / "python"


def run(*arguments: object, cwd: Path) -> str:
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VK")}
    clean["MYPYPATH"] = str(ROOT)
    done = subprocess.run(
        [str(one) for one in arguments], cwd=cwd, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_package_installs_passes_its_tests_and_runs_a_pod(tmp_path: Path) -> None:
    result = invoke("my-cloud")
    assert result.exit_code == 0
    assert "pip install -e '.[test]'" in result.stdout
    package = tmp_path / "vk-my-cloud"
    python = environment(tmp_path / "venv")
    install = ("install", "--no-deps", "--no-build-isolation", "--quiet", "-e", ".")
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=package)
    assert re.search(r"\d+ passed", run(python, "-m", "pytest", "-q", cwd=package))
    assert "my-cloud\tvk-my-cloud\n" in run(python, "-m", "vk", "providers", cwd=package)
    pod = ROOT / "examples" / "nginx.yaml"
    dev = ("-m", "vk", "dev", "--provider", "my-cloud", "--state-folder", tmp_path / "dev")
    process = subprocess.Popen(
        [str(one) for one in (python, *dev, "--apply", pod)],
        cwd=package,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        assert any(re.search(r"pod default/nginx .*Running", line) for line in lines)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0


@pytest.mark.slow
def test_what_is_written_passes_common_checks(tmp_path: Path) -> None:
    invoke("acme")
    folder = tmp_path / "vk-acme"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {".gitignore", ".github/workflows/test.yml", "vk_acme/py.typed"} <= names
    texts = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert not any("sample" in text.lower() for text in texts)
    ruff = (sys.executable, "-m", "ruff")
    run(*ruff, "check", "--isolated", "--select=E,F,I,B,UP,RUF", "--line-length=100", cwd=folder)
    run(*ruff, "format", "--isolated", "--check", "--line-length=100", cwd=folder)
    run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "vk_acme", cwd=folder)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "vk-acme").mkdir()
    (tmp_path / "vk-acme" / "README.md").write_text("mine")
    result = invoke("acme")
    assert result.exit_code == 2
    assert result.stderr == "vk: error: vk-acme is there already: nothing is overwritten\n"
    assert [path.name for path in (tmp_path / "vk-acme").iterdir()] == ["README.md"]
    assert (tmp_path / "vk-acme" / "README.md").read_text() == "mine"


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
