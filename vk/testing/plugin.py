"""Pytest plugin for authors of providers: fixtures of this project, found by installing it.

pytest imports this in every project that has vk installed, so it imports nothing but pytest until a
test asks for a fixture. The asynchronous ones are in `vk.testing.fixtures`, and are there where
pytest-asyncio is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vk.testing.control_plane import ControlPlane

__all__ = ["control_plane", "pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Bring the asynchronous fixtures, where pytest-asyncio is there to run them."""
    if config.pluginmanager.hasplugin("asyncio"):
        config.pluginmanager.import_plugin("vk.testing.fixtures")


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
