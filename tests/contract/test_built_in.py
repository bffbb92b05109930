"""The contract suite on the providers that come with vk."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import vk
from vk.testing import ProviderContract
from vk.testing.contract.bench import Bench
from vk.testing.contract.clients import ExecClient
from vk.testing.contract.fields import Fields
from vk.testing.contract.resolution import Resolved
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider
from vk_providers.process.config import ProcessConfig
from vk_providers.process.development import temporary_state
from vk_providers.process.provider import ProcessProvider


def simulation(script: str) -> dict[str, str]:
    """Return annotations with which the mock simulates a script of the suite."""
    steps = [step.split() for step in script.split("; ")]
    seconds = sum(int(step[1]) for step in steps if step[0] == "sleep")
    code = next((step[1] for step in steps if step[0] == "exit"), "")
    ending = {"mock.vk/run-for": f"{seconds or 1}s", "mock.vk/exit-code": code} if code else {}
    return {"mock.vk/log-line": "line", **ending}


@pytest.mark.looptime
class TestMock(ProviderContract):
    provider_class = MockProvider
    runs_scripts = False

    def pod(self, script: str) -> Mapping[str, Any]:
        return {
            "metadata": {"annotations": simulation(script)},
            "spec": super().pod(script)["spec"],
        }

    async def output(self, bench: Bench, pod: vk.Pod) -> str:
        """Read files of volumes with ``cat``, which the mock simulates."""
        script = pod.containers[0].command[-1]
        if not script.startswith("cat "):
            return await super().output(bench, pod)
        await bench.create(pod)
        client = ExecClient()
        await bench.provider.exec(vk.ContainerKey(pod.key, "main"), script.split(), client)
        return client.stdout.received.decode()


class TestDurableMock(TestMock):
    @pytest.fixture
    def provider_config(self, tmp_path: Path) -> MockConfig:
        return MockConfig(state=str(tmp_path / "state"))


@pytest.mark.slow
class TestProcess(ProviderContract):
    """Without isolation, where a container finds its volumes below ``$VK_VOLUMES``."""

    provider_class = ProcessProvider

    @pytest.fixture
    async def provider_config(self) -> AsyncIterator[ProcessConfig]:
        async with temporary_state() as folder:
            yield ProcessConfig(state=str(folder), isolation="none")

    def pod(self, script: str) -> Mapping[str, Any]:
        return super().pod(script.replace("/vk-contract/", "$VK_VOLUMES/files/"))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
class TestIsolatedProcess(Resolved, Fields):
    """With bubblewrap, by the rules that see the inside of a container."""

    provider_class = ProcessProvider

    @pytest.fixture
    async def provider_config(self) -> AsyncIterator[ProcessConfig]:
        async with temporary_state() as folder:
            yield ProcessConfig(state=str(folder), isolation="bubblewrap")
