"""Where the kubelet's API is, as the Node says it."""

from __future__ import annotations

from typing import Any

import pytest

from vk.node.endpoint import FEATURES, endpoint_patch

ENDPOINT = {"kubeletEndpoint": {"Port": 10250}}
FULL = {"daemonEndpoints": ENDPOINT, "declaredFeatures": list(FEATURES)}


@pytest.mark.parametrize(
    ("status", "port", "patch", "told"),
    [
        ({}, 0, {}, False),
        (FULL, 0, {}, False),
        ({}, 10250, FULL, True),
        (FULL, 10250, {}, False),
        (FULL, 10251, {"daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}}}, True),
        ({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}, 10250, FULL, True),
        (
            {**FULL, "declaredFeatures": ["X"]},
            10250,
            {"declaredFeatures": list(FEATURES)},
            True,
        ),
        # An API server that drops the field is not written to again and again.
        ({"daemonEndpoints": ENDPOINT}, 10250, {"declaredFeatures": list(FEATURES)}, False),
    ],
)
def test_the_patch(status: dict[str, Any], port: int, patch: dict[str, Any], told: bool) -> None:
    assert endpoint_patch(status, port) == (patch, told)


def test_features_are_sorted_as_the_api_server_wants_them() -> None:
    assert list(FEATURES) == sorted(set(FEATURES))
