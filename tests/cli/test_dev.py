"""`vk dev` as a person meets it: a pod on its way, the end, and the messages for mistakes."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Timer

import attrs
import pytest
from click.testing import CliRunner, Result
from doc_blocks import block
from plugin_files import write

from vk.cli.main import command
from vk.testing.kubectl import find_kubectl

ROOT = Path(__file__).parents[2]
NGINX = ROOT / "examples" / "nginx.yaml"

DEVELOPMENT = """
from contextlib import asynccontextmanager
import attrs, vk

@attrs.frozen
class Config:
    endpoint: str
    account: str = attrs.field(default="real", metadata={"env": "VKT_ACCOUNT"})

@attrs.define(eq=False)
class Fake(vk.Provider):
    durable = False
    config_class = Config
    _pods: dict = attrs.field(factory=dict, init=False)

    @classmethod
    @asynccontextmanager
    async def development(cls):
        print("emulator up", flush=True)
        try:
            yield {"endpoint": "emulator", "account": "none"}
        finally:
            print("emulator down", flush=True)

    async def describe_node(self):
        config = self.context.config
        print("config", config.endpoint, config.account, flush=True)
        return vk.NodeInfo(capacity={"cpu": "1", "pods": "1", "memory": "1Gi"})

    async def create_pod(self, pod):
        return self._pods.setdefault(pod.key, vk.PodStatus.running(pod))

    async def delete_pod(self, key, *, grace_period):
        print("deleted", key.name, flush=True)
        if self._pods.pop(key, None) is None:
            raise vk.NotFoundError(key)

    async def list_pods(self):
        return list(self._pods.values())

@vk.hookimpl
def vk_register_providers(register):
    register("fake", Fake)
"""


DURABLE = """
import json
from pathlib import Path
import attrs, vk

@attrs.frozen
class Config:
    folder: Path

@attrs.define(eq=False)
class Durable(vk.Provider):
    config_class = Config

    @property
    def folder(self):
        return Path(self.context.config.folder)

    async def __aenter__(self):
        print("cluster", self.context.cluster_uid, flush=True)
        return self

    async def describe_node(self):
        return vk.NodeInfo(capacity={"cpu": "9", "pods": "99", "memory": "9Gi"})

    async def create_pod(self, pod):
        (self.folder / pod.key.name).write_text(json.dumps(pod.raw))
        return vk.PodStatus.running(pod)

    async def delete_pod(self, key, *, grace_period):
        if (self.folder / "keep").exists() and key.name == "stuck":
            raise vk.TemporaryError("the service is not reachable")
        try:
            (self.folder / key.name).unlink()
        except FileNotFoundError:
            raise vk.NotFoundError(key) from None

    async def list_pods(self):
        paths = [path for path in self.folder.iterdir() if path.name != "keep"]
        return [vk.PodStatus.running(vk.Pod(json.loads(path.read_text()))) for path in paths]

@vk.hookimpl
def vk_register_providers(register):
    register("durable", Durable)
"""


@attrs.define(eq=False)
class Dev:
    """A `vk dev` as a process of its own."""

    process: subprocess.Popen[str]
    seen: list[str] = attrs.field(factory=list, init=False)
    errors: str = attrs.field(default="", init=False)
    """What was written to standard error, once it has stopped."""

    def until(self, pattern: str) -> str:
        """Return the next line that matches; fails when the output ends before."""
        assert self.process.stdout is not None
        with_limit = Timer(60.0, self.process.kill)
        with_limit.start()
        try:
            for line in self.process.stdout:
                self.seen.append(line.rstrip("\n"))
                if re.search(pattern, line):
                    return line
        finally:
            with_limit.cancel()
        raise AssertionError(f"{pattern!r} is not in the output: {self.output()}")

    def stop(self) -> tuple[int, list[str]]:
        """Press Ctrl-C; return the exit code and what was written after that."""
        before = len(self.seen)
        self.process.send_signal(signal.SIGINT)
        out, self.errors = self.process.communicate(timeout=30)
        self.seen += out.splitlines()
        return self.process.returncode, self.seen[before:]

    def output(self) -> str:
        assert self.process.stderr is not None
        return "\n".join([*self.seen, self.process.stderr.read()])


Start = Callable[..., Dev]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts `vk dev` with a state folder of the test's own."""
    made: list[subprocess.Popen[str]] = []

    def make(*arguments: str, stdin: Path = Path(os.devnull), **environment: str) -> Dev:
        clean = {name: text for name, text in os.environ.items() if not name.startswith("VK")}
        command = [sys.executable, "-m", "vk", "dev", "--state-folder", str(tmp_path / "dev")]
        with stdin.open() as file:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=ROOT,
                env={**clean, "PYTHONPATH": str(tmp_path), **environment},
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        made.append(process)
        return Dev(process)

    yield make
    for process in made:
        process.kill()
        process.communicate()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["dev", *arguments])


@pytest.mark.slow
def test_an_example_runs_and_ctrl_c_ends_everything(start: Start) -> None:
    """The command is README's, and so is what it prints."""
    (install, _) = block("README.md", "$ python3 -m pip install").commands()
    dev = start(*install.partition(" && vk dev ")[2].split())
    assert re.search(r"export KUBECONFIG=(\S+)", dev.until("KUBECONFIG"))
    dev.until(r"pod default/nginx .*Running \(10\.200\.0\.1 on vk-dev\)")
    shown = block("README.md", "A Kubernetes cluster").text
    assert [_undated(line) for line in dev.seen] == [_undated(line) for line in shown.splitlines()]
    code, rest = dev.stop()
    assert code == 0
    assert any("pod default/nginx deleted" in line for line in rest)
    assert rest[-1] == "stopped; the cluster and its data are gone"
    ordered = "\n".join(dev.seen)
    assert ordered.index("kubectl get nodes") < ordered.index("node vk-dev Ready")
    assert ordered.index("node vk-dev Ready") < ordered.index("pod default/nginx Pending")
    assert dev.errors == ""


def _undated(line: str) -> str:
    """A line without what differs from run to run: the moment, and the state folder."""
    return re.sub(r"^\d\d:\d\d:\d\d|KUBECONFIG=\S+/", "...", line)


@pytest.mark.slow
def test_a_manifest_given_twice_is_one_object(start: Start) -> None:
    """The second time it is a change to what it says already, though defaults were added."""
    dev = start("--apply", str(NGINX), "--apply", str(NGINX))
    dev.until("pod default/nginx .*Running")
    code, rest = dev.stop()
    assert (code, dev.errors) == (0, "")
    assert sum("deleted" in line for line in rest) == 1


@pytest.mark.slow
def test_a_pod_that_fits_nowhere_shows_why(start: Start, tmp_path: Path) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(
        NGINX.read_text().replace("type: virtual-kubelet", "type: virtual-kubelet\n    disk: ssd")
    )
    dev = start("--apply", str(manifest))
    line = dev.until("didn't match Pod's node affinity/selector")
    assert "pod default/nginx Pending: 0/1 nodes are available: 1 node(s)" in line
    assert dev.stop()[0] == 0


@pytest.mark.slow
def test_the_providers_development_supplies_its_configuration(start: Start, tmp_path: Path) -> None:
    """It comes before the environment, which may name a real account, and --set before it."""
    write(tmp_path, "vkt-dev", code=DEVELOPMENT)
    dev = start(
        "--provider", "fake", "--set", "endpoint=mine", "--apply", str(NGINX), VKT_ACCOUNT="mine"
    )  # fmt: skip
    dev.until("emulator up")
    dev.until("config mine none")
    dev.until("nginx .*Running")
    code, rest = dev.stop()
    assert code == 0
    assert "deleted nginx" in rest
    assert rest.index("deleted nginx") < rest.index("emulator down")


@pytest.mark.field
@pytest.mark.slow
def test_ctrl_c_ends_the_pods_of_a_durable_provider_and_names_what_is_left(
    start: Start, tmp_path: Path
) -> None:
    """The node is cordoned first: what comes while the pods end is not started any more."""
    write(tmp_path, "vkt-durable", code=DURABLE)
    kept, manifest = tmp_path / "kept", tmp_path / "pods.yaml"
    kept.mkdir()
    (kept / "keep").touch()
    names = [*(f"pod-{number}" for number in range(7)), "stuck"]
    pods = [NGINX.read_text().replace("name: nginx", f"name: {name}", 1) for name in names]
    manifest.write_text("\n---\n".join(pods))
    flags = ("--provider", "durable", "--set", f"folder={kept}")
    dev = start(*flags, "--apply", str(manifest))
    cluster = dev.until("^cluster ")
    for _ in names:
        dev.until("Running")
    dev.process.send_signal(signal.SIGINT)
    dev.until("ending 8 pods; Ctrl-C again: at once")
    dev.until("node vk-dev Ready -> Ready,SchedulingDisabled")
    late = tmp_path / "late.yaml"
    late.write_text(NGINX.read_text().replace("name: nginx", "name: late", 1))
    kubectl = find_kubectl()
    assert kubectl is not None  # the extra `test` brings one
    environment = {**os.environ, "KUBECONFIG": str(tmp_path / "dev/admin.kubeconfig")}
    subprocess.run([kubectl, "apply", "-f", late], env=environment, check=True)
    left = dev.until("not ended: ")
    assert left.rstrip() == "not ended: default/stuck"
    assert "start vk dev again with the same flags, and it ends them" in dev.until("start vk dev")
    dev.until("stopped; the cluster and its data are gone")
    assert dev.process.wait(30) == 0
    assert {path.name for path in kept.iterdir()} == {"keep", "stuck"}

    (kept / "keep").unlink()
    again = start(*flags)
    assert again.until("^cluster ") == cluster  # so that the provider lists them, and they end
    again.until("Ready")
    assert again.stop()[0] == 0


@pytest.mark.slow
def test_a_configuration_of_the_users_own_needs_no_development(
    start: Start, tmp_path: Path
) -> None:
    write(tmp_path, "vkt-dev", code=DEVELOPMENT)
    config = tmp_path / "provider.toml"
    config.write_text('endpoint = "cloud"\n')
    dev = start("--provider", "fake", "--provider-config", str(config), VKT_ACCOUNT="mine")
    dev.until("config cloud mine")
    code, rest = dev.stop()
    assert code == 0
    assert "emulator down" not in rest


@pytest.mark.slow
def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(start: Start) -> None:
    (command,) = block("docs/index.md", "$ vk dev").commands()
    first = start(*command.split()[2:])
    first.until("node vk-dev Ready")
    second = start()
    _, told = second.process.communicate(timeout=60)
    assert second.process.returncode == 2
    (line,) = told.splitlines()
    assert line.startswith("vk: error: ")
    assert first.stop()[0] == 0


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        dev = start("--port", port)
        out, told = dev.process.communicate(timeout=60)
    assert dev.process.returncode == 2
    (line,) = told.splitlines()
    assert line.startswith("vk: error: ") and port in line
    assert out == ""


@pytest.mark.slow
def test_what_only_the_api_server_can_refuse_has_file_and_line(
    start: Start, tmp_path: Path
) -> None:
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(NGINX.read_text().replace("name: nginx", "name: nginx\n  namespace: x", 1))
    dev = start("--apply", str(manifest))
    _, told = dev.process.communicate(timeout=60)
    assert dev.process.returncode == 2
    (line,) = told.splitlines()
    assert line.startswith(f"vk: error: --apply: {manifest}:1: ")
    assert 'namespaces "x" not found' in line


@pytest.mark.slow
def test_pods_come_from_standard_input_too(start: Start) -> None:
    dev = start("--apply", "-", stdin=NGINX)
    dev.until("pod default/nginx .*Running")
    assert dev.stop()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--port", "0"), "--port: expected a port, 1 to 65535, not '0'"),
        (("--port", "http"), "--port: expected a port"),
        (("--nodename", "A B"), "--nodename: expected a DNS name"),
        (("--nodename", ""), "--nodename: expected a DNS name"),
        (("--set", "cpu"), "--set: expected key=value"),
        (("--log-level", "loud"), "--log-level: expected one of"),
        (("--provider", "nope"), "--provider: unknown provider 'nope'"),
        (("--state-folder", __file__), f"--state-folder: {__file__}: expected a folder, not a "),
        (("--apply", "missing.yaml"), "--apply: missing.yaml: cannot be read"),
        (("--nope",), "No such option"),
        (("more",), "Got unexpected extra argument"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(arguments: tuple[str, ...], told: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("vk: error: ") and told in line
    assert result.stdout == ""


def test_a_wrong_manifest_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "web.yaml"
    path.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n")
    result = invoke("--apply", str(NGINX), "--apply", str(path))
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"vk: error: --apply: {path}:2: kind: the embedded cluster has no ")


def test_help_names_every_flag_and_starts_nothing() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    flags = ("provider", "provider-config", "set", "apply", "port", "state-folder", "nodename")
    assert [flag for flag in flags if f"--{flag} " not in result.stdout] == []
