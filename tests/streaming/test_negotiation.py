"""Negotiation: the client's first known protocol, and the kubelet's refusals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.negotiation import (
    EXEC_SPDY,
    EXEC_WEBSOCKET,
    PORT_FORWARD_SPDY,
    PORT_FORWARD_WEBSOCKET,
    NegotiationError,
    Protocol,
    RequestedStreams,
    StreamTransport,
    choose_spdy,
    choose_websocket,
    requested_transport,
)

V1, V2, V3, V4, V5 = (
    "channel.k8s.io",
    "v2.channel.k8s.io",
    "v3.channel.k8s.io",
    "v4.channel.k8s.io",
    "v5.channel.k8s.io",
)


@pytest.mark.parametrize(
    ("values", "version"),
    [
        ([V5, V4, V3, V2, V1], 5),  # what an API server sends, one a line
        ([f"{V4}, {V3},{V2} ,{V1}"], 4),
        ([V3], 3),
        ([V1, V4], 1),
        (["v9.channel.k8s.io", V2], 2),
        ([" ", f",{V4}"], 4),
    ],
)
def test_exec_over_spdy_gets_the_first_protocol_that_is_known(
    values: list[str], version: int
) -> None:
    protocol = choose_spdy(values, EXEC_SPDY)
    assert (protocol.version, protocol.base64, protocol.tunnel) == (version, False, False)
    assert protocol.name in ",".join(values)


@pytest.mark.parametrize("values", [[], [""], [" , "]])
def test_spdy_without_a_protocol_is_a_bad_request(values: list[str]) -> None:
    with pytest.raises(NegotiationError, match="X-Stream-Protocol-Version") as refused:
        choose_spdy(values, EXEC_SPDY)
    assert (refused.value.status, refused.value.headers) == (400, ())


def test_spdy_with_unknown_protocols_is_forbidden_and_gets_the_supported_ones() -> None:
    with pytest.raises(NegotiationError, match=r"client supports V4.channel.k8s.io") as refused:
        choose_spdy(["V4.channel.k8s.io"], EXEC_SPDY)
    assert refused.value.status == 403
    assert refused.value.headers == tuple(
        ("X-Accepted-Stream-Protocol-Versions", name) for name in (V5, V4, V3, V2, V1)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([V5], Protocol(V5, 5)),
        ([f"{V4}, {V1}"], Protocol(V4, 4)),
        ([V1], Protocol(V1, 1)),
        (["base64.channel.k8s.io"], Protocol("base64.channel.k8s.io", 1, base64=True)),
        (["v4.base64.channel.k8s.io"], Protocol("v4.base64.channel.k8s.io", 4, base64=True)),
        ([], Protocol("", 1)),
        ([""], Protocol("", 1)),
        ([f"{V3},{V4}"], Protocol(V4, 4)),
    ],
)
def test_exec_over_websocket(values: list[str], expected: Protocol) -> None:
    assert choose_websocket(values, EXEC_WEBSOCKET) == expected


def test_only_v5_closes_channels() -> None:
    assert [p.name for p in EXEC_WEBSOCKET if p.closes_channels] == [V5]
    assert not any(p.closes_channels for p in PORT_FORWARD_WEBSOCKET)


@pytest.mark.parametrize("values", [[V2], [V3], ["v5.base64.channel.k8s.io"], ["chat"]])
def test_a_websocket_protocol_that_does_not_exist_is_forbidden(values: list[str]) -> None:
    with pytest.raises(NegotiationError, match="server accepts v5") as refused:
        choose_websocket(values, EXEC_WEBSOCKET)
    assert refused.value.status == 403


def test_port_forward_has_its_own_protocols() -> None:
    assert choose_spdy(["portforward.k8s.io"], PORT_FORWARD_SPDY).version == 1
    tunnel = choose_websocket(["SPDY/3.1+portforward.k8s.io"], PORT_FORWARD_WEBSOCKET)
    assert tunnel == Protocol("SPDY/3.1+portforward.k8s.io", 1, tunnel=True)
    assert choose_websocket([], PORT_FORWARD_WEBSOCKET) == Protocol("", 4)
    for values in ([V4], ["v4.base64.channel.k8s.io"]):
        assert choose_websocket(values, PORT_FORWARD_WEBSOCKET).version == 4
    for values in ([V5], [V1]):
        with pytest.raises(NegotiationError):
            choose_websocket(values, PORT_FORWARD_WEBSOCKET)
        with pytest.raises(NegotiationError):
            choose_spdy(values, PORT_FORWARD_SPDY)


@given(st.lists(st.text(max_size=30), max_size=5), st.sampled_from([EXEC_SPDY, PORT_FORWARD_SPDY]))
def test_any_header_is_a_choice_or_a_refusal_in_one_line_of_ascii_headers(
    values: list[str], offered: tuple[Protocol, ...]
) -> None:
    try:
        assert choose_spdy(values, offered) in offered
    except NegotiationError as refused:
        assert refused.status in (400, 403)
        assert all(value.isascii() and "\n" not in value for _, value in refused.headers)


@pytest.mark.parametrize(
    ("connection", "upgrade", "expected"),
    [
        (["Upgrade"], ["SPDY/3.1"], StreamTransport.SPDY),
        (["keep-alive, upgrade"], ["spdy/3.1"], StreamTransport.SPDY),
        (["Upgrade"], ["websocket"], StreamTransport.WEBSOCKET),
        (["keep-alive", "UPGRADE"], [" WebSocket "], StreamTransport.WEBSOCKET),
    ],
)
def test_the_transport_that_is_asked_for(
    connection: list[str], upgrade: list[str], expected: StreamTransport
) -> None:
    assert requested_transport(connection, upgrade) is expected


@pytest.mark.parametrize(
    ("connection", "upgrade"),
    [([], []), (["Upgrade"], []), (["Upgrade"], ["h2c"]), (["close"], ["websocket"]), ([], [""])],
)
def test_no_upgrade_is_a_bad_request(connection: list[str], upgrade: list[str]) -> None:
    with pytest.raises(NegotiationError, match="expected an upgrade") as refused:
        requested_transport(connection, upgrade)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("version", "tty", "expected"),
    [
        (5, False, {"error", "stdin", "stdout", "stderr"}),
        (4, True, {"error", "stdin", "stdout", "resize"}),
        (3, True, {"error", "stdin", "stdout", "resize"}),
        (2, True, {"error", "stdin", "stdout"}),
        (1, False, {"error", "stdin", "stdout", "stderr"}),
    ],
)
def test_the_streams_that_a_client_opens(version: int, tty: bool, expected: set[str]) -> None:
    protocol = Protocol("any", version)
    assert (
        RequestedStreams(stdin=True, stdout=True, stderr=True, tty=tty).spdy_types(protocol)
        == expected
    )
    assert RequestedStreams(stdin=False, stdout=False, stderr=False, tty=False).spdy_types(
        protocol
    ) == {"error"}
