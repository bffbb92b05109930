"""The package that `vk new-provider` writes: it installs, passes its tests, and runs a pod."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path

import pytest
from doc_blocks import ROOT
from offline import Environment, clean


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment.make(tmp_path / "venv")


@pytest.mark.slow
def test_it_installs_passes_its_tests_and_runs_a_pod(
    environment: Environment, tmp_path: Path
) -> None:
    told = environment.run("vk new-provider my-cloud", tmp_path)
    package = tmp_path / "vk-my-cloud"
    install, test, dev = [line.strip() for line in told.splitlines()][-3:]
    environment.run(install, package)
    assert re.search(r"\d+ passed", environment.run(f"{test} -q", package))
    assert "my-cloud\tvk-my-cloud\n" in environment.run("vk providers", package)
    options = f"--state-folder {tmp_path / 'dev'} --apply {ROOT / 'examples' / 'nginx.yaml'}"
    process = subprocess.Popen(
        [environment.python, "-m", *f"{dev} {options}".split()],
        cwd=package,
        env=clean(),
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
def test_what_is_written_passes_common_checks(environment: Environment, tmp_path: Path) -> None:
    environment.run("vk new-provider acme", tmp_path)
    folder = tmp_path / "vk-acme"
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {".gitignore", ".github/workflows/test.yml", "vk_acme/py.typed"} <= names
    texts = [(folder / name).read_text() for name in names]
    assert not any("sample" in text.lower() for text in texts)
    environment.run("ruff check --isolated --select=E,F,I,B,UP,RUF --line-length=100", folder)
    environment.run("ruff format --isolated --check --line-length=100", folder)
    environment.run("mypy --strict --follow-imports=silent vk_acme", folder)
