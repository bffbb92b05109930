"""The window of the lists stays within what the vendor describes; a longer one lists everything."""

import pytest

from vk_providers.alibabacloud.api_description import describe
from vk_providers.alibabacloud.time_window import since_second


@pytest.mark.parametrize(
    ("seconds", "window"),
    [(0.2, 60), (59.1, 60), (60.0, 60), (60.1, 61), (3600.0, 3600), (3600.1, None), (1e6, None)],
)
def test_a_window_covers_the_time_or_is_left_out(seconds: float, window: int | None) -> None:
    assert since_second(seconds) == window


@pytest.mark.parametrize("action", ["DescribeContainerGroupStatus", "DescribeContainerGroupEvents"])
def test_the_least_and_the_greatest_window_are_those_of_the_vendor(action: str) -> None:
    described = describe(action).parameters["SinceSecond"]
    assert since_second(0) == described.minimum
    assert described.maximum is not None
    assert since_second(described.maximum) == described.maximum
    assert since_second(described.maximum + 1) is None
