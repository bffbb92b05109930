"""The contract suite on the providers of the examples. The one of 03 is tested by 05 itself."""

from __future__ import annotations

import asyncio
import re
import runpy
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from aiohttp import web
from doc_blocks import ROOT

import vk
from vk.devcluster.cluster import DevCluster
from vk.plugins import Plugins
from vk.testing import ProviderContract
from vk.testing.nodes import running_node
from vk_providers.mock.provider import MockProvider


@cache
def example(folder: str, name: str) -> type[vk.Provider]:
    files = [ROOT / "examples" / folder / "provider.py"]
    return Plugins.load({}, files=files).provider_class(name)


class Simulated(ProviderContract):
    """Nothing runs there, and no pod ends by itself."""

    runs_scripts = False
    pods_end = False


@pytest.mark.looptime
class TestMinimal(Simulated):
    provider_class = example("01-minimal", "minimal")


class TestTimer(ProviderContract):
    provider_class = example("02-status-feed", "timer")
    runs_scripts = False

    def pod(self, script: str) -> Mapping[str, Any]:
        manifest: Any = super().pod(script)
        _, exits, code = script.partition("exit ")
        manifest["spec"]["containers"][0]["args"] = ["0.2", code] if exits else ["3600"]
        return manifest


@pytest.mark.looptime
class TestMoody(Simulated):
    provider_class = example("04-errors-and-retries", "moody")


@pytest.mark.looptime
class TestCounting(Simulated):
    """The program registers no plugin: it gives its provider's class to `vk.VirtualKubelet`."""

    provider_class = runpy.run_path(str(ROOT / "examples/06-embedding/program.py"))[
        "CountingProvider"
    ]

    @pytest.fixture
    def provider_config(self) -> asyncio.Event:
        """What the program hears through."""
        return asyncio.Event()


@attrs.define(eq=False)
class Backend:
    """The server of the example, which may be away for a while."""

    port: int
    app: web.Application
    runner: web.AppRunner

    async def listen(self) -> None:
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()

    @asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        for site in list(self.runner.sites):
            await site.stop()
        assert self.runner.server is not None
        await self.runner.server.shutdown(0)  # the connections that are open
        yield
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()


class TestRest(Simulated):
    provider_class = example("07-rest-backend", "rest")
    many = 20

    @pytest.fixture
    async def provider_config(self, unused_tcp_port: int) -> AsyncIterator[Any]:
        """The configuration, and beside it the backend that it leads to."""
        app = runpy.run_path(str(ROOT / "examples/07-rest-backend/server.py"))["application"]()
        backend = Backend(unused_tcp_port, app, web.AppRunner(app))
        await backend.listen()
        url = f"http://127.0.0.1:{unused_tcp_port}"
        yield SimpleNamespace(url=url, timeout=60.0, backend=backend)
        await backend.runner.cleanup()

    def outage(self, bench: Any) -> AbstractAsyncContextManager[None]:
        backend: Backend = bench.config.backend
        return backend.outage()


class TestBatch(ProviderContract):
    """Its queue has two places, so that most of many pods wait."""

    provider_class = example("08-batch", "batch")


@pytest.mark.slow
class TestRemote(Simulated):
    provider_class = example("09-remote-cluster", "remote")
    many = 20

    @pytest.fixture
    async def provider_config(self, tmp_path: Path) -> AsyncIterator[Any]:
        """Another cluster, with a node of the mock."""
        async with DevCluster(tmp_path / "far") as cluster, running_node(cluster, MockProvider):
            yield SimpleNamespace(kubeconfig=str(cluster.kubeconfig), namespace="default")


def test_every_provider_of_the_examples_is_held_to_the_contract() -> None:
    sources = [path.read_text() for path in (ROOT / "examples").glob("[0-9]*/*.py")]
    written = {name for text in sources for name in re.findall(r"class (\w+)\(vk.Provider\)", text)}
    here = {one.provider_class.__name__ for one in globals().values() if _is_suite(one)}
    there = {name for text in sources for name in re.findall(r"provider_class = (\w+)", text)}
    assert written == here | there


def _is_suite(one: object) -> bool:
    return isinstance(one, type) and issubclass(one, ProviderContract) and "Test" in one.__name__
