"""Bad input to `python -m vk` as a process: the exit code, and one line that says what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from plugin_files import write

from vk.cli.main import command
from vk.devcluster.cluster import DevCluster

pytestmark = pytest.mark.slow

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
clusters: [{name: here, cluster: {server: "http://127.0.0.1:PORT"}}]
users: [{name: alice, user: {}}]
contexts: [{name: here, context: {cluster: here, user: alice}}]
"""


def run(
    folder: Path, *arguments: str, **environment: str
) -> tuple[int, list[str], list[dict[str, str]]]:
    """Run vk to its end; return exit code, the plain lines of standard error, and its log."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith("VK")}
    done = subprocess.run(
        [sys.executable, "-m", "vk", *arguments],
        env={**clean, "PYTHONPATH": str(folder), "HOME": str(folder), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    lines = done.stderr.splitlines()
    log = [json.loads(line) for line in lines if line.startswith("{")]
    return done.returncode, [line for line in lines if not line.startswith("{")], log


@pytest.fixture
def unreachable(tmp_path: Path) -> Iterator[Path]:
    """A kubeconfig of an API server whose port is taken, but where no server listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        path = tmp_path / "kubeconfig"
        path.write_text(KUBECONFIG.replace("PORT", str(one.getsockname()[1])))
        yield path


def test_an_unreachable_api_server_is_waited_for_until_the_startup_timeout(
    tmp_path: Path, unreachable: Path
) -> None:
    """Said once although it is tried many times, and the end is one line."""
    code, lines, log = run(
        tmp_path, "--provider=mock", f"--kubeconfig={unreachable}", "--startup-timeout=3s"
    )
    assert code == 1
    assert lines == ["vk: error: --startup-timeout: the node was not ready after 3 s"]
    (said,) = [line for line in log if line["message"] == "cannot reach the cluster"]
    assert said["level"] == "WARNING"
    assert "get namespaces kube-system" in said["error"]


COMMANDS = [("drain", "n"), ("status", "n"), ("gc", "--provider=mock", "--nodename=n")]
"""Those that ask the API server something and end; `vk doctor` has tests of its own."""


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda one: one[0])
def test_no_command_waits_for_an_api_server_that_is_away(
    arguments: tuple[str, ...], unreachable: Path
) -> None:
    result = CliRunner().invoke(command, [*arguments, f"--kubeconfig={unreachable}"])
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1), result.output
    assert re.search(r"cannot connect to 127\.0\.0\.1:\d+: Connection refused; ", result.output)
    assert "look at --kubeconfig and the network" in result.output


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda one: one[0])
async def test_a_command_without_the_right_names_it(
    arguments: tuple[str, ...], dev_cluster: DevCluster
) -> None:
    account = dev_cluster.service_account_kubeconfig("default", "default")
    run = (CliRunner().invoke, command, [*arguments, f"--kubeconfig={account}"])
    result = await asyncio.to_thread(*run)
    assert (result.exit_code, len(result.output.splitlines())) == (1, 1), result.output
    assert re.search(r'cannot get resource "(nodes|leases)"', result.output), result.output
    assert "the caller needs that permission" in result.output


def test_each_ignored_flag_is_named_once_and_a_wrong_configuration_ends_with_2(
    tmp_path: Path,
) -> None:
    """What is wrong shows only in the running node, and is still one line without a traceback."""
    given = ("--klog.v=2", "--klog.v", "3", "--metrics-addr=:10255", "--namespace", "default")
    missing = str(tmp_path / "none")
    code, lines, log = run(
        tmp_path, *given, "--enable-node-lease", "--provider=mock", f"--kubeconfig={missing}"
    )
    assert code == 2
    assert lines == [f"vk: error: kubeconfig {missing} does not exist"]
    warnings = [line["flag"] for line in log if line["level"] == "WARNING"]
    assert warnings == ["--klog.v", "--metrics-addr", "--namespace", "--enable-node-lease"]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("current-context: [", "kubeconfig {path}: "),
        ("", "kubeconfig {path}: "),
        (KUBECONFIG.replace("current-context: here", "current-context: there"), "there"),
    ],
    ids=["no YAML", "empty", "no such context"],
)
def test_a_broken_kubeconfig_is_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    code, lines, _ = run(tmp_path, "--provider=mock", f"--kubeconfig={path}")
    assert code == 2
    (line,) = lines
    assert line.startswith(f"vk: error: kubeconfig {path}: ")
    assert told.format(path=path) in line


def test_an_unknown_provider_lists_the_known_and_the_broken_ones(tmp_path: Path) -> None:
    write(tmp_path, "vkt-good", providers={"fake": "vkt_good:Fake"})
    write(tmp_path, "vkt-bad", code="raise ImportError('no module of the cloud')")
    code, lines, _ = run(tmp_path, "--provider=nope")
    assert code == 2
    (line,) = lines
    known = "alibabacloud, fake, mock, process"
    assert line.startswith(f"vk: error: --provider: unknown provider 'nope', known: {known}")
    assert "distribution 'vkt-bad': ImportError: no module of the cloud" in line


def test_a_broken_plugin_is_named_and_the_others_still_load(
    tmp_path: Path, unreachable: Path
) -> None:
    """As a provider that was not asked for it is no reason not to start."""
    write(tmp_path, "vkt-bad", code="raise ImportError('no module of the cloud')")
    code, lines, _ = run(tmp_path, "providers")
    assert code == 0
    (line,) = lines
    assert line.startswith("broken: plugin 'vkt_bad' of distribution 'vkt-bad': ImportError")
    code, lines, _ = run(
        tmp_path, "--provider=mock", f"--kubeconfig={unreachable}", "--startup-timeout=1s"
    )
    assert (code, len(lines)) == (1, 1)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("vkt_bad:Partial", "provider 'chosen' cannot be used: missing: create_pod, delete_pod"),
        ("vkt_bad:Wrong", "provider 'chosen' cannot be used: watch_pods: expected an async"),
        ("vkt_bad:Nothing", "vkt_bad:Nothing cannot be imported: AttributeError"),
    ],
)
def test_a_provider_that_cannot_be_used_is_named_with_its_distribution(
    tmp_path: Path, target: str, told: str
) -> None:
    write(tmp_path, "vkt-bad", providers={"chosen": target})
    code, lines, _ = run(tmp_path, "--provider=chosen")
    assert code == 2
    (line,) = lines
    assert line.startswith("vk: error: plugin 'vkt_bad' of distribution 'vkt-bad': " + told)


@pytest.mark.parametrize(
    ("flag", "name", "content", "told"),
    [
        (
            "--config",
            "vk.toml",
            'provider = "mock"\nos = = 1\n',
            "not TOML: Invalid value (at line 2",
        ),
        ("--config", "vk.yaml", "provider: mock\nos: [", "not YAML: line 2"),
        (
            "--config",
            "vk.yaml",
            "povider: mock",
            "unknown key 'povider', known: authorization-webhook-get-exec",
        ),
        ("--config", "vk.yaml", "provider: mock\nos: beos", "os: expected one of linux, windows"),
        ("--provider-config", "mock.toml", "cpu = \n", "not TOML: Invalid value (at line 1"),
        ("--provider-config", "mock.toml", 'cup = "4"', "cup"),
        ("--provider-config", "mock.toml", 'cpu = "many"', "cpu: expected a quantity"),
        ("--provider-config", "mock.json", '{"other-node": {"cpu": "2"}}', "no node 'n'"),
        ("--provider-config", "none.toml", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_file_is_named_with_line_or_key(
    tmp_path: Path, flag: str, name: str, content: str | None, told: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_text(content)
    code, lines, log = run(tmp_path, "--provider=mock", "--nodename=n", f"{flag}={path}")
    assert (code, log) == (2, [])
    (line,) = lines
    assert line.startswith(f"vk: error: {flag}: {path}: ")
    assert told in line
