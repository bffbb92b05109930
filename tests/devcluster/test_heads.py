"""Heads of HTTP/1.1, as a proxy that upgrades connections writes and reads them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.proxy.kubelet_connection import AnswerHead, parse_head, request_head

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


def test_a_request_begins_with_its_line_and_ends_with_an_empty_one() -> None:
    head = request_head("POST", "/exec/a?x=1", [("Host", "h:1"), ("Upgrade", "SPDY/3.1")])
    assert head == b"POST /exec/a?x=1 HTTP/1.1\r\nHost: h:1\r\nUpgrade: SPDY/3.1\r\n\r\n"


@given(st.integers(100, 999), st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_an_answer_is_read_as_it_was_written(status: int, headers: list[tuple[str, str]]) -> None:
    lines = [f"HTTP/1.1 {status} A reason", *(f"{name}:  {value} " for name, value in headers)]
    head = parse_head("\r\n".join([*lines, "", ""]).encode())
    assert head == AnswerHead(status, tuple(headers))
    for name, _ in headers:
        first = next(value for key, value in headers if key.lower() == name.lower())
        assert head.get(name.upper()) == first
    assert head.get("not-there") == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: empty\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
    ],
)
def test_what_is_no_head_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="malformed HTTP"):
        parse_head(raw)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_refused(raw: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert 0 <= parse_head(raw).status <= 999
