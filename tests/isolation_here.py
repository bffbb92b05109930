"""What this machine can do to keep pods apart, and the marks of the tests that need it.

In CI (``CI=true``) nothing that could be installed is missing in silence: such a test runs there
and fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

_PROGRAMS = ("/bin", "/lib", "/lib64", "/usr")
"""Not the whole root folder: the namespaces below it, which other tests make, come and go."""
IN_CI = os.environ.get("CI") == "true"


def _why_no_bubblewrap() -> str:
    """Say why this machine cannot isolate pods, empty where it can; not with our own code."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    binds = [each for name in _PROGRAMS for each in ("--ro-bind-try", name, name)]
    command = ["bwrap", *binds, "--proc", "/proc", "--unshare-pid", "true"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if ended.returncode == 0 else f"bubblewrap is not allowed here: {ended.stderr}"


def _why_no_namespaces() -> str:
    if shutil.which("ip") is None or shutil.which("nsenter") is None:
        return "network namespaces need iproute2 and nsenter"
    name = f"vk-test-{os.getpid()}"
    ended = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False)
    if ended.returncode:
        return f"network namespaces are not allowed here: {ended.stderr.decode()}"
    subprocess.run(["ip", "netns", "delete", name], check=True)
    return ""


def _needs(missing: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(bool(missing) and not IN_CI, reason=missing or "-")


NO_BUBBLEWRAP, NO_NAMESPACES = _why_no_bubblewrap(), _why_no_namespaces()
needs_bubblewrap = _needs(NO_BUBBLEWRAP)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")

needs_namespaces = (needs_root, _needs(NO_NAMESPACES))
both_ways = pytest.mark.parametrize(
    "isolation", ["none", pytest.param("bubblewrap", marks=needs_bubblewrap)]
)
