"""What an author says about a provider and its backend: the part of the suite that is overridden.

The defaults suit a backend that runs the commands of containers. A simulator sets ``runs_scripts``
to False and overrides `Base.pod`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar

import pytest

from vk.models.pod import Json, Pod, Resolution
from vk.provider import Provider
from vk.testing.contract.bench import Bench

__all__ = ["CONTAINER", "STAYS", "Base", "ends"]

CONTAINER = "main"
"""The container of the suite's pods."""
STAYS = "echo one; echo two; echo three; sleep 3600"
"""The script of a container that writes three lines and runs on."""


def ends(code: int = 0) -> str:
    """Return the script of a container that writes three lines and ends with ``code``."""
    return f"echo one; echo two; echo three; exit {code}"


@pytest.mark.asyncio
class Base:
    """Overridden by authors; every rule reads it."""

    provider_class: ClassVar[type[Provider]]
    """The provider's class."""
    patience: ClassVar[float] = 30.0
    """Seconds in which the backend starts or ends a pod, and in which any call returns."""
    runs_scripts: ClassVar[bool] = True
    """Whether containers run their commands. False: nothing that a command does is looked for."""
    pods_end: ClassVar[bool] = True
    """Whether a pod can end by itself. False: nothing that needs an ended pod is looked at."""
    many: ClassVar[int] = 100
    """How many pods are created at once."""

    @pytest.fixture
    def provider_config(self) -> Any:
        """The provider's configuration; the same one opens the same backend again.

        Override it with a fixture, asynchronous or not, that starts a backend for the test.
        """
        return None

    def pod(self, script: str) -> Json:
        """Return ``metadata`` and ``spec`` of a pod whose only container runs a shell script.

        The scripts consist of ``echo TEXT``, ``sleep SECONDS``, ``exit CODE``, ``printenv NAME``,
        ``cat PATH`` and ``pwd``, with semicolons. The container's name must be ``main``.
        """
        container = {"name": CONTAINER, "image": "busybox", "command": ["sh", "-c", script]}
        return {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never"}}

    def outage(self, bench: Bench) -> AbstractAsyncContextManager[None] | None:
        """Return what keeps the backend from answering for as long as it is entered.

        None: it cannot be away, as it is in this process.
        """
        return None

    async def output(self, bench: Bench, pod: Pod) -> str:
        """Run ``pod``, which ends by itself, and return what its container wrote.

        Override it for a backend without logs that knows what its containers were given. Raises
        NotImplementedError where nothing runs.
        """
        if not self.runs_scripts:
            raise NotImplementedError("no command runs")
        await bench.create(pod)
        await bench.until(pod, bench.is_over, "the pod ends")
        return (await bench.log(pod)).decode()

    @asynccontextmanager
    async def bench(self, config: Any) -> AsyncIterator[Bench]:
        """Open the provider, and at the end delete its pods and close it."""
        bench = Bench(type(self).provider_class, config, patience=self.patience)
        async with bench:
            yield bench

    def make(self, bench: Bench, script: str, resolution: Resolution | None = None) -> Pod:
        """Give the bench's cluster a new pod that runs ``script``."""
        return bench.pod(self.pod(script), resolution)

    def need_ends(self) -> None:
        """Skip the rule where no pod ends by itself."""
        if not self.pods_end:
            pytest.skip("pods_end is False: no pod of this backend ends by itself")

    async def running(self, bench: Bench) -> Pod:
        """Return a pod that runs, and goes on running."""
        pod = self.make(bench, STAYS)
        await bench.create(pod)
        await bench.until(pod, bench.is_running, "the pod runs")
        return pod

    async def ended(self, bench: Bench, code: int = 0) -> Pod:
        """Return a pod that has ended, and is not deleted; skips where none ever does."""
        self.need_ends()
        pod = self.make(bench, ends(code))
        await bench.create(pod)
        await bench.until(pod, bench.is_over, "the pod ends")
        return pod
