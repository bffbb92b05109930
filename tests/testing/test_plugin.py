"""The pytest plugin as other projects meet it: what it costs, and what its fixtures give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vk
from vk.plugins import Plugins
from vk.testing.kubectl import Kubectl
from vk.testing.nodes import RunNode

ROOT = Path(__file__).parents[2]
Minimal = Plugins.load({}, files=[ROOT / "examples/01-minimal/provider.py"]).provider_class(
    "minimal"
)


class Broken(Minimal):
    async def __aenter__(self) -> Broken:
        raise vk.ConfigError("region: expected one that exists")


def loaded(code: str) -> set[str]:
    """The modules that a fresh interpreter has after ``code``."""
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(done.stdout.split())


@pytest.mark.slow
def test_the_plugin_imports_only_pytest() -> None:
    """Beside itself, and the packages that it lies in: they load their names on first use."""
    added = loaded("import pytest, vk.testing.plugin") - loaded("import pytest")
    assert added == {"lazy_loader", "vk", "vk.testing", "vk.testing.plugin"}


@pytest.mark.slow
def test_the_asynchronous_fixtures_import_only_pytest_asyncio() -> None:
    added = loaded("import pytest_asyncio, vk.testing.fixtures") - loaded("import pytest_asyncio")
    assert added == {"lazy_loader", "vk", "vk.testing", "vk.testing.fixtures"}


@pytest.mark.slow
async def test_a_ready_node_runs_pods_through_a_real_kubectl(
    run_node: RunNode, kubectl: Kubectl
) -> None:
    node = await run_node(Minimal, node_name="mine")
    assert node.ready.is_set()
    await kubectl("run", "hello", "--image=any")
    await kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=20s")
    (pod,) = (await kubectl.get("pods"))["items"]
    assert pod["spec"]["nodeName"] == "mine"


async def test_a_node_that_cannot_start_raises_its_reason(run_node: RunNode) -> None:
    with pytest.raises(vk.ConfigError, match="region: expected one that exists"):
        await run_node(Broken)
