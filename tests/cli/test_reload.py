"""A changed configuration: what a running node goes on with, and what it says of the rest."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from vk.cli.options import build_settings
from vk.cli.reload import Reload
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import NODES
from vk.devcluster.cluster import DevCluster
from vk.errors import ObjectNotFoundError
from vk.settings import LIVE, Settings
from vk.testing.programs import free_port


@attrs.define
class Adjusted:
    """Keeps what it is told."""

    settings: Settings | None = None

    def update_settings(self, settings: Settings) -> None:
        self.settings = settings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def reload_of(path: Path, **flags: str) -> Reload:
    """Return a Reload for a node with this file and these flags."""
    given = {"config": str(path), **flags}
    return Reload(build_settings(given, {}), lambda: build_settings(given, {}), path)


def test_what_may_change_changes_and_the_rest_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vk.toml"
    path.write_text('provider = "mock"\nnodename = "a"\n')
    reload, node = reload_of(path), Adjusted()
    path.write_text(
        'provider = "mock"\nnodename = "b"\norphans = "keep"\nmax-creates-per-minute = 7\n'
    )
    reload.take(node)
    assert node.settings is not None
    assert (node.settings.orphans, node.settings.max_creates_per_minute) == ("keep", 7.0)
    assert node.settings.node_name == "a"
    told = {(record.getMessage(), record.__dict__["key"]) for record in caplog.records}
    assert told == {
        ("setting changed", "orphans"),
        ("setting changed", "max-creates-per-minute"),
        ("setting changed: restart to use it", "nodename"),
    }


def test_the_log_level_changes_at_run_time_unless_a_flag_names_it(tmp_path: Path) -> None:
    path = tmp_path / "vk.toml"
    path.write_text('provider = "mock"\n')
    reload, held = reload_of(path), reload_of(path, **{"log-level": "error"})
    path.write_text('provider = "mock"\nlog-level = "debug"\n')
    held.take(Adjusted())
    assert held.settings.log_level == "error"
    reload.take(Adjusted())
    assert logging.getLogger().level == logging.DEBUG


def test_a_file_that_cannot_be_used_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vk.toml"
    path.write_text('provider = "mock"\n')
    reload, node = reload_of(path), Adjusted()
    path.write_text('provider = "mock"\norphans = "burn"\n')
    reload.take(node)
    assert node.settings is None
    (record,) = caplog.records
    assert record.getMessage() == "configuration reload failed"
    assert "orphans: expected one of delete, report, keep" in record.__dict__["error"]


def test_the_live_settings_are_settings() -> None:
    assert {field.name for field in attrs.fields(Settings)} >= LIVE


@asynccontextmanager
async def process(*arguments: str, folder: Path) -> AsyncIterator[tuple[int, Path]]:
    """Run a node as a process of its own; give its id and its log."""
    environment = {
        **os.environ,
        "KUBELET_PORT": str(free_port()),
        "VKUBELET_POD_IP": "127.0.0.1",
        "XDG_STATE_HOME": str(folder),
    }
    log = folder / "log"
    with log.open("wb") as out:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "vk", *arguments, env=environment, stdout=out, stderr=out
        )
    try:
        yield child.pid, log
    finally:
        child.kill()
        await child.wait()


async def until(probe: Callable[[], Any]) -> None:
    """Wait until the probe, or what it gives when awaited, is true."""
    async with asyncio.timeout(30):
        while True:
            found = probe()
            if (await found) if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_running_node_follows_its_file_and_the_signal(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    """The taint goes from the Node after SIGHUP; a change of the file alone is seen within 5 s."""
    file = tmp_path / "vk.yaml"
    file.write_text("provider: mock\nnodename: n1\n")
    flags = ("--config", str(file), "--kubeconfig", str(dev_cluster.kubeconfig))
    access = await load_access(str(dev_cluster.kubeconfig))
    async with (
        Client(access, user_agent="test") as client,
        process(*flags, folder=tmp_path) as (pid, log),
    ):

        async def taints() -> list[str]:
            try:
                node = await client.get(NODES, "n1")
            except ObjectNotFoundError:
                return []
            return [taint["key"] for taint in node["spec"].get("taints") or ()]

        async def tainted() -> bool:
            return "virtual-kubelet.io/provider" in await taints()

        async def untainted() -> bool:
            return not await tainted()

        await until(lambda: "node is ready" in log.read_text())
        await until(tainted)
        file.write_text("provider: mock\nnodename: n1\ndisable-taint: true\n")
        os.kill(pid, signal.SIGHUP)
        await until(untainted)
        file.write_text("provider: mock\nnodename: n1\ndisable-taint: true\nlog-level: error\n")
        await until(lambda: '"key":"log-level"' in log.read_text().replace(" ", ""))
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert [one["value"] for one in lines if one.get("key") == "taint"] == ["none"]
