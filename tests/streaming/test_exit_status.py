"""The error channel tells how a command ended, and the resize channel how large its terminal is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.exit_status import exit_status, failure_status


def test_success_is_a_document_since_version_4_and_nothing_before() -> None:
    assert [exit_status(version, 0) for version in (1, 2, 3)] == [b"", b"", b""]
    for version in (4, 5):
        assert exit_status(version, 0) == b'{"metadata":{},"status":"Success"}'


def test_an_exit_code_is_sent_as_by_a_kubelet() -> None:
    """Byte for byte what Go writes for the same Status."""
    expected = (
        b'{"metadata":{},"status":"Failure",'
        b'"message":"command terminated with non-zero exit code: 3","reason":"NonZeroExitCode",'
        b'"details":{"causes":[{"reason":"ExitCode","message":"3"}]}}'
    )
    assert exit_status(4, 3) == exit_status(5, 3) == expected
    assert exit_status(3, 3) == b"command terminated with non-zero exit code: 3"


@pytest.mark.parametrize("code", [1, 137, 255])
def test_the_code_is_in_the_cause_where_clients_look_for_it(code: int) -> None:
    cause = json.loads(exit_status(4, code))["details"]["causes"][0]
    assert cause == {"reason": "ExitCode", "message": str(code)}


@pytest.mark.parametrize(
    ("code", "text"), [(None, "exit code is unknown"), (-1, "exit code -1"), (256, "exit code 256")]
)
def test_a_code_beyond_a_byte_is_a_failure_with_its_number(code: int | None, text: str) -> None:
    """Clients read an unsigned byte; anything else they show as a protocol error."""
    document = json.loads(exit_status(4, code))
    assert (document["status"], document["reason"]) == ("Failure", "InternalError")
    assert text in document["message"]
    assert text.encode() in exit_status(1, code)


def test_a_failure_is_a_status_with_its_reason_and_code() -> None:
    document = failure_status(5, "no such container", reason="NotFound", code=404)
    assert document == (
        b'{"metadata":{},"status":"Failure","message":"no such container",'
        b'"reason":"NotFound","code":404}'
    )
    assert failure_status(2, "no such container") == b"no such container"


@given(st.integers(1, 5), st.text(st.characters()))
def test_any_text_of_a_provider_can_be_sent(version: int, text: str) -> None:
    raw = failure_status(version, text)
    told = json.loads(raw)["message"] if version >= 4 else raw.decode()
    assert told == text.encode(errors="replace").decode()


def test_a_text_with_undecodable_bytes_of_a_file_name_can_be_sent() -> None:
    assert failure_status(1, b"\xff".decode(errors="surrogateescape")) == b"?"
