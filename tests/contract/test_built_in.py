"""The contract suite on the providers that come with vk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vk.testing import ProviderContract
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider
from vk_providers.process.config import ProcessConfig
from vk_providers.process.development import temporary_state
from vk_providers.process.provider import ProcessProvider


def simulation(script: str) -> dict[str, str]:
    """The annotations that make the mock do what a script of the suite does."""
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


class TestDurableMock(TestMock):
    @pytest.fixture
    def provider_config(self, tmp_path: Path) -> MockConfig:
        return MockConfig(state=str(tmp_path / "state"))


@pytest.mark.slow
class TestProcess(ProviderContract):
    provider_class = ProcessProvider

    @pytest.fixture
    async def provider_config(self) -> AsyncIterator[ProcessConfig]:
        async with temporary_state() as folder:
            yield ProcessConfig(state=str(folder), isolation="none")
