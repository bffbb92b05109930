"""Probes and lifecycle hooks do what the kubelet does with them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from supervised import container, first_line, gone, is_up, log_text, probe, sh, state, supervised

import vk
from vk_providers.process.plan import ProbePlan

SLEEP = "sleep 1000"


def is_ready(report: Any) -> bool:
    return bool(container(report).ready)


async def test_readiness_follows_its_probe_both_ways(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    readiness = probe(f"test -e {flag}", failure_threshold=1)
    async with supervised(tmp_path / "pod", [sh(SLEEP, readiness=readiness)]) as pod:
        report = await pod.until(is_up)
        assert not is_ready(report)
        assert (await pod.event("Unhealthy")).message.startswith("Readiness probe failed")
        flag.touch()
        await pod.until(is_ready)
        flag.unlink()
        report = await pod.until(lambda report: not is_ready(report))
        assert is_up(report)
        assert container(report).restart_count == 0


async def test_a_failed_liveness_probe_restarts_the_container(tmp_path: Path) -> None:
    healthy = tmp_path / "healthy"
    script = f"touch {healthy}; trap 'exit 7' TERM; echo up; while :; do sleep 0.01; done"
    liveness = probe(f"test -e {healthy}", failure_threshold=2)
    async with supervised(tmp_path / "pod", [sh(script, liveness=liveness)]) as pod:
        await first_line(pod)
        healthy.unlink()
        report = await pod.until(lambda r: container(r).restart_count == 1 and is_up(r))
        assert container(report).last_state.exit_code == 7
        message = (await pod.event("Killing")).message
        assert message == "Container c failed liveness probe, will be restarted"


async def test_a_liveness_probe_has_a_grace_period_of_its_own(tmp_path: Path) -> None:
    liveness = probe("exit 1", failure_threshold=1, grace_period=0.0)
    containers = [sh("trap '' TERM; sleep 1000", liveness=liveness)]
    fields = {"grace_period": 1_000.0, "restart_policy": "Never"}
    async with supervised(tmp_path / "pod", containers, **fields) as pod:
        assert state(await pod.end()).exit_code == 137


async def test_the_startup_probe_holds_the_others_back(tmp_path: Path) -> None:
    started, probed = tmp_path / "started", tmp_path / "probed"
    fields = {
        "startup": probe(f"test -e {started}", failure_threshold=1_000),
        "liveness": probe(f"touch {probed}"),
        "readiness": probe("true"),
    }
    async with supervised(tmp_path / "pod", [sh(SLEEP, **fields)]) as pod:
        for _ in range(3):
            await pod.event("Unhealthy")
        report = await pod.link.status()
        assert is_up(report)
        assert not is_ready(report)
        assert not probed.exists()
        started.touch()
        await pod.until(is_ready)


async def test_a_startup_probe_that_never_succeeds_ends_the_container(tmp_path: Path) -> None:
    startup = probe("echo not yet; exit 1", failure_threshold=2)
    containers = [sh(SLEEP, startup=startup)]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        report = await pod.end()
        assert (await pod.event("Unhealthy")).message == "Startup probe failed: not yet\n"
    assert state(report).exit_code == 143


async def test_a_probe_that_hangs_has_failed_and_is_ended(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/pid; sleep 1000"
    readiness = probe(script, timeout=0.2, period=1_000.0)
    async with supervised(tmp_path / "pod", [sh(SLEEP, readiness=readiness)]) as pod:
        assert "timed out after 0.2 s" in (await pod.event("Unhealthy")).message
        await gone(int((tmp_path / "pid").read_text()))
        assert is_up(await pod.link.status())


async def test_a_sidecar_holds_the_next_container_until_it_has_started(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    startup = probe(f"test -e {flag}", failure_threshold=1_000)
    side = sh(SLEEP, name="s", kind="sidecar", startup=startup)
    async with supervised(tmp_path / "pod", [side, sh(f"ls {flag}")]) as pod:
        await pod.event("Unhealthy")
        assert isinstance(state(await pod.link.status()), vk.Waiting)
        flag.touch()
        await pod.until(lambda report: not isinstance(state(report), vk.Waiting))
        report = await pod.link.status()
        assert report.raw["initContainerStatuses"][0]["started"]


@contextmanager
def served(answer: bytes, *, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list]]:
    """Answer every connection with the same bytes; give the port and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    with (
                        connection,
                        context.wrap_socket(connection, server_side=True)
                        if (context)
                        else connection as stream,
                    ):
                        asked.append(stream.recv(10_000))
                        stream.sendall(answer)
                except OSError:
                    if server.fileno() < 0 or closing.is_set():
                        return

        closing = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1], asked
        finally:
            closing.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def http_probe(port: int, **http: Any) -> ProbePlan:
    action = {"host": "127.0.0.1", "port": port, "path": "/", "scheme": "http", "headers": []}
    fields = {"period": 0.05, "timeout": 10.0, "failure_threshold": 1}
    return ProbePlan(action={"http": {**action, **http}}, **fields)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_http_probe_asks_as_the_kubelet_does(tmp_path: Path, host: str) -> None:
    with served(OK) as (port, asked):
        readiness = http_probe(port, host=host, path="/ready?x=1", headers=[("X-Own", "yes")])
        async with supervised(tmp_path / "pod", [sh(SLEEP, readiness=readiness)]) as pod:
            await pod.until(is_ready)
    lines = asked[0].decode().split("\r\n")
    assert lines[0] == "GET /ready?x=1 HTTP/1.1"
    assert {f"Host: {host}:{port}", "User-Agent: kube-probe/vk", "X-Own: yes"} <= set(lines)


async def test_an_https_probe_checks_no_certificate(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("another.name").configure_cert(context)
    with served(OK, context=context) as (port, asked):
        readiness = http_probe(port, scheme="https")
        async with supervised(tmp_path / "pod", [sh(SLEEP, readiness=readiness)]) as pod:
            await pod.until(is_ready)
    assert asked[0].startswith(b"GET / HTTP/1.1")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "statuscode: 503"),
        (b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "statuscode: 404"),
        (b"SSH-2.0-nonsense\r\n", "malformed HTTP response"),
        (b"", "malformed HTTP response"),
    ],
)
async def test_a_malformed_answer_is_reported(tmp_path: Path, answer: bytes, text: str) -> None:
    with served(answer) as (port, _):
        containers = [sh(SLEEP, readiness=http_probe(port))]
        async with supervised(tmp_path / "pod", containers) as pod:
            assert text in (await pod.event("Unhealthy")).message


async def test_a_redirect_is_a_good_answer(tmp_path: Path) -> None:
    with served(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n") as (port, _):
        containers = [sh(SLEEP, readiness=http_probe(port))]
        async with supervised(tmp_path / "pod", containers) as pod:
            await pod.until(is_ready)


async def test_a_tcp_probe_succeeds_where_somebody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        tcp = {"host": "127.0.0.1", "port": server.getsockname()[1]}
        readiness = ProbePlan(action={"tcp": tcp}, period=0.05, failure_threshold=1)
        async with supervised(tmp_path / "pod", [sh(SLEEP, readiness=readiness)]) as pod:
            await pod.until(is_ready)
            server.close()
            await pod.until(lambda report: not is_ready(report))
            assert "Connection refused" in (await pod.event("Unhealthy")).message


async def test_a_post_start_hook_runs_before_the_next_container_starts(tmp_path: Path) -> None:
    order = tmp_path / "order"
    hook = {"exec": ["sh", "-c", f"sleep 0.1; echo hook >> {order}"]}
    first = sh(SLEEP, name="first", post_start=hook)
    async with supervised(tmp_path / "pod", [first, sh(f"echo next >> {order}; sleep 1000")]) as p:
        await p.until(is_up)
        await p.until(lambda report: container(report, "first").ready)
        async with asyncio.timeout(10):
            while b"next" not in order.read_bytes():
                await p.link.status()
    assert order.read_text().split() == ["hook", "next"]


async def test_a_post_start_hook_that_fails_ends_its_container(tmp_path: Path) -> None:
    containers = [sh(SLEEP, post_start={"exec": ["sh", "-c", "echo no; exit 1"]})]
    async with supervised(tmp_path / "pod", containers, restart_policy="Never") as pod:
        report = await pod.end()
        assert (await pod.event("FailedPostStartHook")).message == "PostStartHook failed: no\n"
    assert state(report).exit_code == 143


async def test_a_daemon_of_a_hook_lives_as_long_as_the_container(tmp_path: Path) -> None:
    hook = {"exec": ["sh", "-c", f"sleep 1000 > /dev/null 2>&1 & echo $! > {tmp_path}/pid"]}
    containers = [sh(SLEEP, post_start=hook)]
    async with supervised(tmp_path / "pod", containers) as pod:
        await pod.until(is_ready)
        pid = int((tmp_path / "pid").read_text())
        assert pid in (await pod.link.processes())["c"]
        await pod.link.stop(30)
        await pod.end()
        await gone(pid)


async def test_a_pre_stop_hook_runs_before_the_stop_signal(tmp_path: Path) -> None:
    script = "trap 'echo term; exit 0' TERM; echo up; while :; do sleep 0.01; done"
    hook = {"exec": ["sh", "-c", f"cat {tmp_path}/pod/logs/c/0.log > {tmp_path}/seen"]}
    async with supervised(tmp_path / "pod", [sh(script, pre_stop=hook)]) as pod:
        await first_line(pod)
        await pod.link.stop(60)
        report = await pod.end()
    assert state(report).exit_code == 0
    assert log_text(pod.folder).endswith("term\n")
    assert "term" not in (tmp_path / "seen").read_text()


@pytest.mark.slow
async def test_a_pre_stop_hook_may_use_the_grace_period_up(tmp_path: Path) -> None:
    """The container still gets its two seconds between stop signal and kill."""
    script = "trap 'sleep 0.2; exit 9' TERM; echo up; while :; do sleep 0.01; done"
    containers = [sh(script, pre_stop={"sleep": 1_000.0})]
    async with supervised(tmp_path / "pod", containers) as pod:
        await first_line(pod)
        await pod.link.stop(0.3)
        report = await pod.end()
        assert (await pod.event("FailedPreStopHook")).type == "Warning"
    assert state(report).exit_code == 9


@pytest.mark.parametrize(
    ("script", "policy", "message"),
    [
        ("printf said > {file}; exit 1", "File", "said"),
        ("echo log; exit 1", "File", ""),
        ("echo log; exit 1", "FallbackToLogsOnError", "log"),
        ("echo log; exit 0", "FallbackToLogsOnError", ""),
    ],
)
async def test_the_termination_message_is_in_the_status(
    tmp_path: Path, script: str, policy: str, message: str
) -> None:
    file = tmp_path / "message"
    file.write_text("of an earlier run")
    main = sh(script.format(file=file), message_file=str(file), message_policy=policy)
    async with supervised(tmp_path / "pod", [main], restart_policy="Never") as pod:
        report = await pod.end()
    assert state(report).message == message


@pytest.mark.parametrize("kind", ["fifo", "link"])
async def test_what_a_container_puts_in_place_of_its_message_file_is_neither_read_nor_emptied(
    tmp_path: Path, kind: str
) -> None:
    file, other = tmp_path / "message", tmp_path / "other"
    other.write_text("of another user")
    make = {"fifo": f"mkfifo {file}", "link": f"ln -s {other} {file}"}[kind]
    script = f"test -p {file} || test -L {file} && exit 0; rm -f {file}; {make}; exit 1"
    main = sh(script, message_file=str(file))
    async with supervised(tmp_path / "pod", [main], restart_policy="OnFailure") as pod:
        report = await pod.end()
        event = await pod.event("FailedTerminationMessage")
    assert container(report).restart_count == 1
    assert (state(report).exit_code, state(report).message) == (0, "")
    assert other.read_text() == "of another user"
    assert event.message == f"{file}: not a regular file"
