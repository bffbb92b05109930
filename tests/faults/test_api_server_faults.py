"""A node keeps its promises behind an API server on a bad day, as a recorder of its own judges."""

from __future__ import annotations

import os

import pytest
from fault_run import run

from vk.testing.control_plane import ControlPlane

pytestmark = [pytest.mark.e2e, pytest.mark.field, pytest.mark.slow, pytest.mark.timeout(300)]

SECONDS = float(os.environ.get("VK_FAULT_SECONDS", "60"))
SEED = int(os.environ.get("VK_FAULT_SEED", "1"))


def test_no_promise_is_broken_while_the_api_server_fails(control_plane: ControlPlane) -> None:
    """Partitions, errors, throttling, lost and late answers, cut, frozen and expired watches; two
    replicas of the node, of which now and then one is killed or stopped for a while."""
    assert run(control_plane, seed=SEED, seconds=SECONDS) == []
