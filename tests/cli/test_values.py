"""What a person may write for each kind of setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vk.cli import values


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1m", 60.0),
        ("30s", 30.0),
        ("0", 0.0),
        ("0s", 0.0),
        ("1h2m3.5s", 3723.5),
        ("300ms", 0.3),
        ("1.5h", 5400.0),
        ("2us", 2e-6),
        ("45", 45.0),
        (12, 12.0),
        (0.5, 0.5),
    ],
)
def test_durations_are_gos_notation_or_seconds(written: Any, seconds: float) -> None:
    assert values.duration(written) == seconds


@pytest.mark.parametrize(
    ("parse", "written"),
    [
        (values.duration, "1x"),
        (values.duration, "-1s"),
        (values.duration, "1m!30s"),
        (values.duration, ""),
        (values.duration, "nan"),
        (values.duration, True),
        (values.duration, None),
        (values.positive_duration, "0"),
        (values.count(1), "0"),
        (values.count(1), "1.5"),
        (values.count(1), True),
        (values.count(0), "٣"),
        (values.port, "65536"),
        (values.port, "0"),
        (values.name, "Upper"),
        (values.name, "a" * 254),
        (values.address, "300.1.1.1"),
        (values.addresses, "10.0.0.1,x"),
        (values.host_port, "host"),
        (values.host_port, "fd00::1:443"),
        (values.host_port, "https://host:443"),
        (values.taint_key, "/a"),
        (values.taint_key, "a b"),
        (values.boolean, "yes"),
        (values.key_values, ("a",)),
        (values.key_values, ("=b",)),
        (values.key_values, {"a": [1]}),
        (values.text, " "),
        (values.path, 3),
        (values.choice("a"), ["a"]),
    ],
)
def test_what_is_no_value_is_refused(parse: Callable[[Any], Any], written: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(written)


def test_values_are_understood() -> None:
    assert values.host_port("[fd00::1]:443") == "[fd00::1]:443"
    assert values.addresses("10.0.0.1, fd00::1") == ("10.0.0.1", "fd00::1")
    assert values.key_values(("a=b=c", "d=", "a=last")) == {"a": "last", "d": ""}
    assert values.key_values({"a": True, "b": 2}) == {"a": "true", "b": "2"}
    assert values.taint_key("virtual-kubelet.io/provider") == "virtual-kubelet.io/provider"
