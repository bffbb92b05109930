"""What tests of the embedded cluster share: a client of it, as its administrator."""

from collections.abc import AsyncIterator

import pytest_asyncio
from cluster_api import Api, api_of

from vk.devcluster.cluster import DevCluster


@pytest_asyncio.fixture
async def api(dev_cluster: DevCluster) -> AsyncIterator[Api]:
    async with api_of(dev_cluster) as client:
        yield client
