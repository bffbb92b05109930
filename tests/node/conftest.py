"""What the tests of the node's parts share."""

import pytest
from node_api import Api


@pytest.fixture
def api() -> Api:
    """An empty API server in memory."""
    return Api()
