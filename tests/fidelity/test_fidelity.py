"""The fidelity cases, each on the embedded API server and on the real control plane.

A case states what the real API server answers; where the embedded one answers differently, the
embedded one is wrong. The cases are in ``cases/``, their words are explained in README.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from case_files import Case, load
from connection import Connection, connect
from runner import play

from vk.devcluster.cluster import DevCluster
from vk.testing.control_plane import ControlPlane

CASES = load(Path(__file__).parent)
SAME_LOOP = pytest.mark.asyncio(loop_scope="module")


def cases_for(server: str) -> pytest.MarkDecorator:
    """Parametrize a test with the cases that ``server`` is to answer."""
    chosen = [
        pytest.param(case, id=case.title, marks=[pytest.mark.slow] if case.slow else [])
        for case in CASES
        if case.only in (None, server)
    ]
    return pytest.mark.parametrize("case", chosen)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real(control_plane: ControlPlane) -> AsyncIterator[Connection]:
    """A connection to the real API server."""
    async with connect(control_plane.admin_kubeconfig) as connection:
        yield connection


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DevCluster]:
    """An embedded API server in this process."""
    async with DevCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def embedded(cluster: DevCluster) -> AsyncIterator[Connection]:
    """A connection to the embedded API server."""
    async with connect(cluster.kubeconfig) as connection:
        yield connection


def test_there_are_enough_cases_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) >= 120
    assert len({case.title for case in CASES}) == len(CASES)


@SAME_LOOP
@cases_for("embedded")
async def test_embedded_api_server(cluster: DevCluster, embedded: Connection, case: Case) -> None:
    await play(case, embedded, compact=cluster.storage.compact)


@pytest.mark.e2e
@pytest.mark.slow
@SAME_LOOP
@cases_for("real")
async def test_real_control_plane(real: Connection, case: Case) -> None:
    await play(case, real)
