"""Pytest plugin for authors of providers: fixtures of this project, found by installing it.

Only pytest and pytest-asyncio are imported until a test asks for a fixture. Without the latter
there is no `dev_cluster`.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vk.devcluster.cluster import DevCluster
    from vk.testing.control_plane import ControlPlane

__all__ = ["control_plane"]


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[ControlPlane]:
    """Give a real control plane with controllers and scheduler, one for the whole session.

    Skips the test where KUBEBUILDER_ASSETS does not name a folder with the programs. The logs are
    kept when a test of the session failed.
    """
    from vk.testing.control_plane import ASSETS, ControlPlane

    if not os.environ.get(ASSETS):
        pytest.skip(f"{ASSETS} does not name a folder with etcd, kube-apiserver, kubectl")
    with ControlPlane(controllers=True, scheduler=True, audit=True) as plane:
        yield plane
        plane.keep_logs = request.session.testsfailed > 0


with suppress(ModuleNotFoundError):
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def dev_cluster(tmp_path: Path) -> AsyncIterator[DevCluster]:
        """Give an embedded cluster of the test's own; it serves until the test ends."""
        from vk.devcluster.cluster import DevCluster

        async with DevCluster(tmp_path / "cluster") as cluster:
            yield cluster
