"""Where the kubelet's API is, as the Node says it."""

from __future__ import annotations

from typing import Any

import pytest

from vk.node.endpoint import endpoint_patch

ENDPOINT = {"kubeletEndpoint": {"Port": 10250}}
FEATURES = ["ExtendWebSocketsToKubelet", "InPlacePodVerticalScalingInitContainers"]
WITHOUT_API = {"declaredFeatures": FEATURES[1:]}
FULL = {"daemonEndpoints": ENDPOINT, "declaredFeatures": FEATURES}


@pytest.mark.parametrize(
    ("status", "port", "patch", "told"),
    [
        ({}, 0, WITHOUT_API, False),
        (FULL, 0, WITHOUT_API, True),
        ({"daemonEndpoints": ENDPOINT, **WITHOUT_API}, 0, {}, False),
        ({}, 10250, FULL, True),
        (FULL, 10250, {}, False),
        (FULL, 10251, {"daemonEndpoints": {"kubeletEndpoint": {"Port": 10251}}}, True),
        ({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}, 10250, FULL, True),
        (
            {**FULL, "declaredFeatures": ["X"]},
            10250,
            {"declaredFeatures": FEATURES},
            True,
        ),
        # An API server that drops the field is not written to again and again.
        ({"daemonEndpoints": ENDPOINT}, 10250, {"declaredFeatures": FEATURES}, False),
    ],
)
def test_the_patch(status: dict[str, Any], port: int, patch: dict[str, Any], told: bool) -> None:
    assert endpoint_patch(status, port) == (patch, told)
