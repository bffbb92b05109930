"""kubectl exec, attach, port-forward and cp through the real API server, on each of its ways.

kubectl speaks WebSocket or SPDY to the API server; that passes both on as they are, but translates
a WebSocket to SPDY for a node that does not say it takes WebSockets.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import attrs
import manifests
import pytest
from node_process import NodeProcess, StartNode, free_port

from vk.testing.control_plane import ControlPlane, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
WAYS = ("websocket", "translated", "spdy")
MEBI = 1 << 20
HERE = Path(__file__).parent


@attrs.frozen
class Kubectl:
    """kubectl on one of the ways, in the namespace of pod ``web``."""

    plane: ControlPlane
    node: NodeProcess
    namespace: str
    way: str

    def command(self, *arguments: str) -> list[str]:
        """Return the command line."""
        plane = self.plane
        start = [str(plane.assets / "kubectl"), f"--kubeconfig={plane.admin_kubeconfig}"]
        return [*start, f"--cache-dir={plane.folder / 'cache'}", "-n", self.namespace, *arguments]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | (SPDY if self.way == "spdy" else {})

    def run(self, *arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        return subprocess.run(
            self.command(*arguments),
            input=input,
            capture_output=True,
            env=self.environment,
            timeout=100,
        )

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run it beside the test."""
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            self.command(*arguments), stdin=pipe, stdout=pipe, env=self.environment
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def spoken(self) -> str:
        """Return what the node says it has spoken last."""
        over: str = json.loads(self.node.said("session begins")[-1])["over"]
        return over


@pytest.fixture(scope="module")
def pod_of_a_node(
    control_plane: ControlPlane,
    make_lasting_node: StartNode,
    lasting_namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[NodeProcess, str]:
    folder = tmp_path_factory.mktemp("plugin")
    information = folder / "local_provider-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: local\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[vk]\nlocal = local_provider\n")
    path = {"PYTHONPATH": os.pathsep.join((str(folder), str(HERE)))}
    node = make_lasting_node("", provider="local", environment=path)
    node.start()
    node.wait_ready()
    control_plane.kubectl(
        "apply", "-n", lasting_namespace, "-f", "-", input=manifests.pod("web", node.name)
    )
    control_plane.kubectl(
        "wait", "-n", lasting_namespace, "pod/web", "--for=condition=Ready", "--timeout=60s"
    )
    return node, lasting_namespace


@pytest.fixture(params=WAYS)
def kubectl(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    pod_of_a_node: tuple[NodeProcess, str],
) -> Kubectl:
    """Give kubectl; the node keeps what the test makes it say of itself."""
    kubectl = Kubectl(control_plane, *pod_of_a_node, request.param)
    features = None if kubectl.way == "translated" else ["ExtendWebSocketsToKubelet"]
    patch = json.dumps({"status": {"declaredFeatures": features}})
    how = ("--subresource=status", "--type=merge", "-p", patch)
    control_plane.kubectl("patch", "node", kubectl.node.name, *how)
    return kubectl


def test_the_node_says_that_it_takes_websockets(
    control_plane: ControlPlane, make_node: StartNode
) -> None:
    node = make_node()
    node.start()
    node.wait_ready()
    status = control_plane.get("node", node.name)["status"]
    assert status["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]


@pytest.mark.parametrize("code", [0, 1, 137])
def test_an_exit_code_arrives(kubectl: Kubectl, code: int) -> None:
    done = kubectl.run("exec", "web", "--", "sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout) == (code, b"out\n")
    assert done.stderr.startswith(b"err\n")
    over = "websocket" if kubectl.way == "websocket" else "SPDY/3.1"
    assert kubectl.spoken() == f"{over} v5.channel.k8s.io"


def test_64_mib_come_back_byte_for_byte(kubectl: Kubectl) -> None:
    data = os.urandom(64 * MEBI)
    done = kubectl.run("exec", "-i", "web", "--", "cat", input=data)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(done.stdout).digest() == hashlib.sha256(data).digest()


def test_attach_reaches_the_main_process(kubectl: Kubectl) -> None:
    done = kubectl.run("attach", "-i", "web", input=b"hello\n")
    assert (done.returncode, done.stdout) == (0, b"hello\n")


def test_a_terminal_has_the_clients_size_and_follows_it(kubectl: Kubectl) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    script = (
        "stty size; until [ $(stty size | cut -c1-2) = 44 ]; do sleep 0.05; done; stty size; exit 3"
    )
    process = subprocess.Popen(
        kubectl.command("exec", "-it", "web", "--", "sh", "-c", script),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=kubectl.environment,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        _read_until(ours, b"33 101")
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 120, 0, 0))
        os.kill(process.pid, signal.SIGWINCH)
        _read_until(ours, b"44 120")
        assert process.wait(30) == 3
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read_until(terminal: int, text: bytes) -> bytes:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 4096)
    return seen


def test_a_command_ends_with_its_client(kubectl: Kubectl) -> None:
    mark = f"{free_port()}.5"
    with kubectl.start("exec", "web", "--", "sleep", mark):
        eventually(lambda: _runs(mark), "the command runs", timeout=30)
    eventually(lambda: not _runs(mark), "the command has ended", timeout=30)


def _runs(mark: str) -> bool:
    commands = (path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists())
    return any(command == f"sleep\0{mark}\0".encode() for command in commands)


def test_a_folder_is_copied_there_and_back(kubectl: Kubectl, tmp_path: Path) -> None:
    source, there, back = (tmp_path / name for name in ("source", "there", "back"))
    source.mkdir()
    (source / "large").write_bytes(os.urandom(5 * MEBI))
    assert kubectl.run("cp", str(source), f"web:{there}").returncode == 0
    assert kubectl.run("cp", f"web:{there}", str(back)).returncode == 0
    assert (back / "large").read_bytes() == (source / "large").read_bytes()


@contextmanager
def _listening() -> Iterator[int]:
    """Answer each connection, once its client has ended its side, with what came, reversed."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        def answer(connection: socket.socket) -> None:
            with connection, connection.makefile("rb") as incoming:
                connection.sendall(incoming.read()[::-1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _ask(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            return answer.read()


def test_twenty_connections_are_forwarded_at_a_time_and_half_closed(kubectl: Kubectl) -> None:
    with _listening() as port, kubectl.start("port-forward", "web", f":{port}") as process:
        assert process.stdout is not None
        local = int(process.stdout.readline().split()[2].rpartition(b":")[2])
        sent: Sequence[bytes] = [os.urandom(200_000) for _ in range(20)]
        with ThreadPoolExecutor(20) as pool:
            got = list(pool.map(lambda data: _ask(local, data), sent))
        assert [data[::-1] for data in got] == sent
    direct = "websocket SPDY/3.1+portforward.k8s.io"
    assert kubectl.spoken() == (
        direct if kubectl.way == "websocket" else "SPDY/3.1 portforward.k8s.io"
    )


def test_a_port_on_which_nothing_listens_is_an_error_of_kubectl(kubectl: Kubectl) -> None:
    with kubectl.start("port-forward", "web", f":{free_port()}") as process:
        assert process.stdout is not None
        local = int(process.stdout.readline().split()[2].rpartition(b":")[2])
        assert _ask(local, b"x") == b""
