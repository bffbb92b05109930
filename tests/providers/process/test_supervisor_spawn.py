"""Between fork and exec a command is still our program: what that must not depend on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import vk_providers.process

_SPAWN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from supervisor.spawn import Command, spawn
sys.meta_path.clear()
nothing = os.open(os.devnull, os.O_RDWR)
command = Command(["true"], env={"PATH": "/usr/bin:/bin"}, cwd="/")
print(os.waitpid(spawn(command, (nothing,) * 3, terminal=False), 0)[1])
"""


def test_a_command_starts_without_importing_anything() -> None:
    """Its user need not be able to read our interpreter's files, and each import takes 1 ms."""
    folder = Path(vk_providers.process.__file__).parent
    program = [sys.executable, "-I", "-S", "-c", _SPAWN, str(folder)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("0\n", "")
