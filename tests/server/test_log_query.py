"""The query of a log: what is taken, and what each complaint names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.errors import InvalidInputError
from vk.models.logs import LogOptions
from vk.server.logs import log_options

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {}),
        ({"tailLines": "0"}, {"tail_lines": 0}),
        ({"tailLines": "+5"}, {"tail_lines": 5}),
        ({"tail": "all"}, {}),
        ({"tail": "3"}, {"tail_lines": 3}),
        ({"limitBytes": "1"}, {"limit_bytes": 1}),
        ({"sinceSeconds": "60"}, {"since": NOW - timedelta(minutes=1)}),
        ({"sinceSeconds": "9" * 18}, {"since": datetime(1970, 1, 1, tzinfo=UTC)}),
        ({"sinceTime": "2026-01-31T10:00:00Z"}, {"since": NOW - timedelta(hours=2)}),
        ({"sinceTime": "2026-01-31T11:00:00.000000000+01:00"}, {"since": NOW - timedelta(hours=2)}),
        ({"follow": "true", "previous": "T", "timestamps": "1"}, {
            "follow": True, "previous": True, "timestamps": True,
        }),
        ({"follow": ""}, {"follow": True}),
        ({"follow": "false", "timestamps": "0"}, {}),
        ({"stream": "All"}, {}),
        ({"stream": "Stderr"}, {"stream": "stderr"}),
        ({"insecureSkipTLSVerifyBackend": "x", "unknown": "y"}, {}),
    ],
)  # fmt: skip
def test_what_a_query_means(query: dict[str, str], expected: dict[str, object]) -> None:
    asked = {name: [value] for name, value in query.items()}
    assert log_options(asked, NOW) == LogOptions(**expected)  # type: ignore[arg-type] # a table's row


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"tailLines": "-1"}, "tailLines"),
        ({"tailLines": "x"}, "tailLines"),
        ({"tailLines": ""}, "tailLines"),
        ({"tailLines": "1" + "0" * 30}, "tailLines"),
        ({"tailLines": "9223372036854775808"}, "tailLines"),
        ({"tailLines": "1_0"}, "tailLines"),
        ({"tailLines": "٣"}, "tailLines"),
        ({"limitBytes": "0"}, "limitBytes"),
        ({"sinceSeconds": "0"}, "sinceSeconds"),
        ({"sinceSeconds": "-10"}, "sinceSeconds"),
        ({"sinceSeconds": "1", "sinceTime": "2026-01-31T10:00:00Z"}, "sinceSeconds"),
        ({"sinceTime": "yesterday"}, "sinceTime"),
        ({"sinceTime": "2026-01-31"}, "sinceTime"),
        ({"sinceTime": "2026-02-31T10:00:00Z"}, "sinceTime"),
        ({"follow": "maybe"}, "follow"),
        ({"stream": "stdout"}, "stream"),
        ({"stream": "Stdout", "tailLines": "1"}, "tailLines"),
    ],
)
def test_what_is_wrong_is_named(query: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        log_options({name: [value] for name, value in query.items()}, NOW)


def test_a_parameter_comes_once() -> None:
    with pytest.raises(InvalidInputError, match="follow"):
        log_options({"follow": ["true", "false"]}, NOW)


@given(
    st.dictionaries(
        st.sampled_from(
            ("follow", "tailLines", "limitBytes", "sinceSeconds", "sinceTime", "stream")
        ),
        st.lists(st.text(max_size=30), min_size=1, max_size=2),
    )
)
def test_nothing_but_a_refusal_comes_of_nonsense(query: dict[str, list[str]]) -> None:
    try:
        log_options(query, NOW)
    except InvalidInputError:
        return
