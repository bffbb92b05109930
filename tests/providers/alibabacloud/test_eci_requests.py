"""Each request that the provider sends for a pod has only what the vendor describes."""

from __future__ import annotations

import pytest
from test_eci_golden import NAMES, planned, read

from vk_providers.alibabacloud.emulator.create import check
from vk_providers.alibabacloud.emulator.parameters import schema
from vk_providers.alibabacloud.emulator.schema import parse
from vk_providers.alibabacloud.emulator.sizes import size_of

ACCEPTED = [name for name in NAMES if "request" in read(name)]
CREATE = schema("CreateContainerGroup")


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_pod_becomes_a_request_that_the_service_takes(name: str) -> None:
    tree = parse(CREATE, planned(read(name)))
    check(tree)
    assert size_of(tree, "cn-hangzhou").cpu > 0
