"""A new user's virtual environment, where nothing may be fetched: it sees the packages of ours."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import attrs
from doc_blocks import ROOT

_INSTALL = "install --no-deps --no-build-isolation --quiet"


@attrs.frozen
class Environment:
    """A virtual environment; what is typed in it runs as if it were activated."""

    python: Path

    @classmethod
    def make(cls, folder: Path) -> Environment:
        """Make one in ``folder``."""
        venv.create(folder, with_pip=False)
        (site,) = folder.glob("lib/python*/site-packages")
        ours = [sysconfig.get_path("purelib"), str(ROOT)]
        lines = [f"import site; site.addsitedir({one!r})\n" for one in ours]
        (site / "ours.pth").write_text("".join(lines))
        return cls(folder / "bin" / "python")

    def run(self, command: str, folder: Path) -> str:
        """Run a line of a shell, which must succeed; return what it printed."""
        pip = f"{sys.executable} -m pip --python {self.python} {_INSTALL}"
        command = command.replace("pip install", pip, 1)
        words = command.split(" ", 1)
        if words[0] in ("vk", "pytest", "ruff", "mypy"):
            command = f"{self.python} -m {command}"
        done = subprocess.run(
            command,
            shell=True,
            cwd=folder,
            env={**clean(), "MYPYPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        return done.stdout


def clean() -> dict[str, str]:
    """The environment variables without those that vk reads."""
    return {name: text for name, text in os.environ.items() if not name.startswith("VK")}
