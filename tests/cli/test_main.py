"""The command as a person meets it: output, exit codes, signals, time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plugin_files import write

from vk._version import __version__
from vk.cli.main import command

NODE = """
import asyncio, sys
from vk.runner import execute
from vk.errors import ConfigError, ClusterError

class Node:
    def __init__(self):
        self.ready = asyncio.Event()

    async def run(self):
        {body}

sys.exit(execute(Node, startup_timeout={timeout}))
"""
READY = "self.ready.set(); print('ready', flush=True); "


def invoke(*arguments: str, **environment: str) -> Result:
    clean = dict.fromkeys((name for name in os.environ if name.startswith("VK")), None)
    return CliRunner().invoke(command, arguments, env={**clean, **environment})


def start(body: str, timeout: float = 0.0) -> subprocess.Popen[str]:
    code = NODE.format(body=body, timeout=timeout)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, "vkt-cli", providers={"fake": "vkt_cli:Fake"})
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--provider: expected"),
        (("--nope",), "No such option"),
        (("nope",), "No such command"),
        (("--provider", "mock", "--os", "beos"), "--os: expected one of linux, windows"),
        (("--provider", "mock", "--disable-taint=maybe"), "--disable-taint: expected true"),
        (("--provider", "nope", "--klog.v=2"), "unknown provider 'nope'"),
        (("providers", "nope"), "unknown provider 'nope'"),
        (("--plugin", "nope.py", "--provider", "mine"), "plugin nope.py: FileNotFoundError"),
        (("providers", "--plugin", "nope.py"), "plugin nope.py: FileNotFoundError"),
        (("dev", "--plugin", "nope.py"), "plugin nope.py: FileNotFoundError"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("vk: error: ") and told in line


def test_help_reads_as_one_page_with_the_commands_first() -> None:
    lines = invoke("--help").stdout.splitlines()
    assert len(lines) < 100
    assert lines.index("Commands:") < 6 < lines.index("Options:")
    assert max(map(len, lines)) <= 100


def test_version() -> None:
    result = invoke("version")
    assert (result.exit_code, result.stdout) == (0, f"vk {__version__}\n")


def test_a_file_brings_a_provider_to_every_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    write(tmp_path, "mine", providers={"mine": "nothing_of_that_name:Mine"})
    path = str(tmp_path / "mine.py")
    config = tmp_path / "vk.yaml"
    config.write_text(f"provider: mine\nplugin: {path}\n")
    assert f"mine\t{path}\n" in invoke("providers", "--plugin", path).stdout
    for arguments in (
        ("--plugin", path, "--provider", "mine"),
        (f"--plugin={path}", "--provider=mine"),
        ("--config", str(config)),
        ("doctor", "--config", str(config)),
        ("dev", "--plugin", path, "--provider", "mine"),
        *((each, "--plugin", path, "--provider", "mine") for each in ("gc", "doctor", "rbac")),
        ("providers", "mine", "--plugin", path),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2
        assert f"plugin {path}: nothing_of_that_name:Mine cannot be imported" in result.stderr


def test_providers_lists_them_and_the_configuration_of_one(plugin: Path) -> None:
    listed = invoke("providers", VK_PLUGINS="vkt_cli")
    assert (listed.exit_code, listed.stdout) == (0, "fake\tvkt-cli\n")
    shown = invoke("providers", "fake", VK_PLUGINS="vkt_cli")
    assert shown.exit_code == 0
    assert [line.split() for line in shown.stdout.splitlines()] == [
        ["KEY", "TYPE", "DEFAULT", "VARIABLE"],
        ["region", "a", "text", "nowhere", "FAKE_REGION"],
        ["workers", "a", "whole", "number", "4"],
    ]


@pytest.mark.parametrize("name", ["alibabacloud", "mock", "process"])
def test_each_setting_of_a_provider_that_ships_is_explained(name: str) -> None:
    shown = invoke("providers", name)
    assert shown.exit_code == 0
    _, *lines = shown.stdout.splitlines()
    settings = [n for n, line in enumerate(lines) if not line.startswith(" ")]
    unexplained = [lines[n] for n in settings if not lines[n + 1 : n + 2] or n + 1 in settings]
    assert unexplained == []


def test_a_wrong_provider_setting_is_exit_code_2(plugin: Path) -> None:
    result = invoke("--provider", "fake", "--set", "workers=many", VK_PLUGINS="vkt_cli")
    assert result.exit_code == 2
    assert result.stderr == "vk: error: --set: workers: expected a whole number, not a text\n"


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["--help"], ["--nope"]])
def test_help_and_usage_errors_load_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nsys.argv[0] = 'vk'\nfrom vk.cli.main import main\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stdout)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if arguments == ["--help"] else 2)
    loaded = {"aiohttp", "kubernetes_asyncio", "yaml", "cattrs", "asyncio"}
    assert not loaded & set(done.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_in_order_with_exit_code_0(number: signal.Signals) -> None:
    body = READY + "\n        try: await asyncio.Event().wait()\n        finally: print('in order')"
    with start(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "in order\n", "")


@pytest.mark.slow
def test_a_second_signal_ends_at_once_even_where_the_loop_is_stuck() -> None:
    body = (
        READY + "\n        try: await asyncio.Event().wait()\n"
        "        finally:\n            print('stopping', flush=True)\n"
        "            import time\n            time.sleep(60)"
    )
    with start(body) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "stopping\n"
        process.terminate()
        assert process.wait(timeout=20) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "timeout", "code", "told"),
    [
        ("await asyncio.Event().wait()", 0.05, 1, "--startup-timeout: the node was not ready"),
        ("raise ClusterError('list pods: gone')", 0.0, 1, "list pods: gone"),
        ("pass", 0.0, 1, "the node ended without being asked to"),
    ],
)
def test_a_node_that_fails_is_one_line(body: str, timeout: float, code: int, told: str) -> None:
    with start(body, timeout) as process:
        _, err = process.communicate(timeout=20)
    (line,) = err.splitlines()
    assert process.returncode == code
    assert line.startswith("vk: error: " + told)


@pytest.mark.slow
def test_a_configuration_error_inside_a_group_comes_out_as_itself() -> None:
    body = "raise ExceptionGroup('a', [ConfigError('kubeconfig: expected a file')])"
    with start(body) as process:
        _, err = process.communicate(timeout=20)
    assert err.splitlines()[-1] == "vk.errors.ConfigError: kubeconfig: expected a file"
