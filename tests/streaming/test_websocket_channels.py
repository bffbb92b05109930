"""Channels of a WebSocket: the forms of messages, ports, and messages that no client may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.streaming.websocket.channels import (
    MAX_PORTS,
    Channel,
    ChannelClosed,
    ChannelError,
    ChannelMessage,
    Channels,
    forwarded_ports,
    port_channels,
    port_preface,
)

V1 = Channels(len(Channel))
V5 = Channels(len(Channel), closes=True)
BASE64 = Channels(len(Channel), base64=True)


@pytest.mark.parametrize(
    ("channels", "message", "expected"),
    [
        # The examples that Kubernetes gives for channel.k8s.io and base64.channel.k8s.io.
        (V1, bytes([0, 102, 111, 111, 10]), ChannelMessage(Channel.STDIN, b"foo\n")),
        (
            BASE64,
            bytes([48, 90, 109, 57, 118, 67, 103, 111, 61]).decode(),
            ChannelMessage(Channel.STDIN, b"foo\n\n"),
        ),
        (BASE64, b"0Zm9vCgo=", ChannelMessage(Channel.STDIN, b"foo\n\n")),
        (BASE64, "0Zm9v\r\nCgo=\n", ChannelMessage(Channel.STDIN, b"foo\n\n")),
        (BASE64, "4", ChannelMessage(Channel.RESIZE, b"")),
        (V1, b"\0", ChannelMessage(Channel.STDIN, b"")),
        (V1, b"", None),
        (BASE64, "", None),
        (V1, b"\x05nobody", None),
        (V1, b"\xff\0", None),
        (BASE64, "5Zm9v", None),
        (BASE64, b"\0Zm9v", None),
        (V5, b"\xff\0", ChannelClosed(Channel.STDIN)),
        (V5, b"\xff\4", ChannelClosed(Channel.RESIZE)),
    ],
)
def test_a_message_says(channels: Channels, message: bytes | str, expected: object) -> None:
    assert channels.decode(message) == expected


@pytest.mark.parametrize(
    ("channels", "channel", "data", "message"),
    [
        (V1, Channel.STDOUT, b"\n", b"\1\n"),
        (BASE64, Channel.STDOUT, b"\n", "1Cg=="),
        (V1, Channel.STDOUT, b"", b"\1"),
        (BASE64, Channel.ERROR, b"", "3"),
        (V1, Channel.STDOUT, memoryview(b"abc")[1:], b"\1bc"),
    ],
)
def test_a_message_is_written(
    channels: Channels, channel: int, data: bytes, message: bytes | str
) -> None:
    assert channels.encode(channel, data) == message


@given(st.sampled_from([V1, V5, BASE64]), st.sampled_from(Channel), st.binary(max_size=500))
def test_what_is_written_is_read_back(channels: Channels, channel: Channel, data: bytes) -> None:
    assert channels.decode(channels.encode(channel, data)) == ChannelMessage(channel, data)


@given(st.sampled_from(Channel))
def test_a_close_is_read_back_and_only_v5_has_one(channel: Channel) -> None:
    assert V5.decode(V5.close(channel)) == ChannelClosed(channel)
    for channels in (V1, BASE64):
        with pytest.raises(ValueError, match="only v5"):
            channels.close(channel)


@pytest.mark.parametrize(
    ("channels", "message"),
    [
        (V5, b"\xff"),
        (V5, b"\xff\0\0"),
        (V5, b"\xff\5"),
        (V5, b"\xff\xff"),
        (BASE64, "0Zm9"),
        (BASE64, "0Zm9v!"),
        (BASE64, "0Zg==Zg=="),
        (BASE64, "0Z\N{BULLET}=="),
        (BASE64, b"0\xff\xff\xff\xff"),
    ],
)
def test_a_broken_message_is_refused(channels: Channels, message: bytes | str) -> None:
    with pytest.raises(ChannelError):
        channels.decode(message)


@given(
    st.sampled_from([V1, V5, BASE64, Channels(2 * MAX_PORTS, base64=True)]),
    st.one_of(st.binary(max_size=40), st.text(max_size=40)),
)
def test_any_message_is_understood_or_refused(channels: Channels, message: bytes | str) -> None:
    try:
        result = channels.decode(message)
    except ChannelError:
        return
    assert result is None or 0 <= result.channel < channels.count


@pytest.mark.parametrize(
    ("values", "ports"),
    [
        (["80"], (80,)),
        (["80,8080", "65535"], (80, 8080, 65535)),
        (["80", "80"], (80, 80)),
        (["00080"], (80,)),
        ([",".join(["1"] * MAX_PORTS)], (1,) * MAX_PORTS),
    ],
)
def test_ports_of_a_request(values: list[str], ports: tuple[int, ...]) -> None:
    assert forwarded_ports(values) == ports


@pytest.mark.parametrize(
    "values",
    [
        *([text] for text in ("", "0", "65536", "-1", "+1", "80,", " 80", "1e3", "٣", "²")),
        [],
        ["9" * 5000],
        ["1"] * (MAX_PORTS + 1),
    ],
)
def test_what_is_no_port_is_refused(values: list[str]) -> None:
    with pytest.raises(ValueError, match="expected 1 to"):
        forwarded_ports(values)


def test_each_port_has_two_channels_which_start_with_its_number() -> None:
    assert [port_channels(index) for index in range(2)] == [(0, 1), (2, 3)]
    assert port_preface(8080) == bytes([0x90, 0x1F])


def test_every_channel_of_the_most_ports_has_a_character() -> None:
    channels = Channels(2 * MAX_PORTS, base64=True)
    _, last = port_channels(MAX_PORTS - 1)
    message = channels.encode(last, b"x")
    assert isinstance(message, str) and message.isascii()
    assert channels.decode(message) == ChannelMessage(last, b"x")
