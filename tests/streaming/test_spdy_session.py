"""A SPDY session: what its owner is told, and what it writes."""

from __future__ import annotations

import pytest
from go_frames import GO_FRAMES

from vk.streaming.spdy.frames import (
    Data,
    Decoder,
    Frame,
    GoAway,
    GoAwayStatus,
    Headers,
    Ping,
    ResetStatus,
    RstStream,
    SettingsFrame,
    SynReply,
    SynStream,
    WindowUpdate,
)
from vk.streaming.spdy.headers import Deflater
from vk.streaming.spdy.session import (
    CONTROL_BURST,
    CONTROL_RATE,
    FRAME_SIZE,
    UNREAD,
    Event,
    HalfClosed,
    Pong,
    SessionFailed,
    SpdySession,
    StreamAccepted,
    StreamOpened,
    StreamReset,
    WentAway,
)


def written(session: SpdySession) -> bytes:
    return b"".join(session.take())


def frames(session: SpdySession) -> list[Frame]:
    return list(Decoder().feed(written(session)))


def pass_on(source: SpdySession, target: SpdySession, now: float = 0.0) -> list[Event]:
    return target.receive(written(source), now)


def receive(session: SpdySession, *sent: Frame, now: float = 0.0) -> list[Event]:
    return session.receive(b"".join(frame.encode() for frame in sent), now)


def failure(events: list[Event]) -> str:
    assert isinstance(events[-1], SessionFailed)
    return events[-1].reason


@pytest.fixture
def server() -> SpdySession:
    """A session whose stream 1 is open and accepted, with nothing left to write."""
    session = SpdySession()
    receive(session, SynStream(1, Deflater().block({})))
    session.accept(1)
    session.take()
    return session


@pytest.fixture
def pair() -> tuple[SpdySession, SpdySession]:
    return SpdySession(client=True, max_streams=0), SpdySession()


def test_a_stream_lives_from_its_opening_to_both_ends(
    pair: tuple[SpdySession, SpdySession],
) -> None:
    client, server = pair
    stream_id = client.open({"streamType": "stdin"})
    assert pass_on(client, server) == [StreamOpened(stream_id, {"streamtype": "stdin"})]
    assert server.accept(stream_id, {"x": "y"})
    assert pass_on(server, client) == [StreamAccepted(stream_id, {"x": "y"})]
    assert client.send(stream_id, b"question") and client.finish(stream_id)
    assert pass_on(client, server) == [Data(stream_id, b"question"), HalfClosed(stream_id)]
    assert server.send(stream_id, b"answer")
    assert pass_on(server, client) == [Data(stream_id, b"answer")]
    assert server.finish(stream_id)
    assert pass_on(server, client) == [HalfClosed(stream_id)]
    assert (client.open_streams, server.open_streams) == (0, 0)


def test_a_go_client_is_understood() -> None:
    session = SpdySession()
    events = [
        event
        for text, frame, _ in GO_FRAMES
        if not isinstance(frame, SynReply)
        for event in session.receive(bytes.fromhex(text), 0.0)
    ]
    assert events[:5] == [
        StreamOpened(1, {"streamtype": "error"}),
        StreamOpened(3, {"streamtype": "stdin"}),
        StreamOpened(5, {"streamtype": "stdout"}),
        StreamOpened(7, {"port": "8080"}),
        HalfClosed(7),
    ]
    assert events[5:] == [
        Data(3, b"hello\n"),
        HalfClosed(3),
        StreamReset(5, ResetStatus.CANCEL),
        WentAway(0, GoAwayStatus.OK),
    ]
    assert frames(session) == [Ping(1)]


def test_streams_of_one_connection_do_not_mix(pair: tuple[SpdySession, SpdySession]) -> None:
    client, server = pair
    ids = [client.open({"port": str(port)}) for port in (80, 443, 8080)]
    assert ids == [1, 3, 5]
    pass_on(client, server)
    for stream_id in ids:
        server.accept(stream_id)
    pass_on(server, client)
    for stream_id in (5, 1, 3, 1):
        client.send(stream_id, b"%d" % stream_id)
    assert pass_on(client, server) == [Data(n, b"%d" % n) for n in (5, 1, 3, 1)]


def test_bytes_sent_before_the_stream_is_accepted_arrive() -> None:
    """Only Go drops them; other clients need not wait."""
    events = receive(SpdySession(), SynStream(1, Deflater().block({})), Data(1, b"early", fin=True))
    assert events == [StreamOpened(1, {}), Data(1, b"early", fin=True), HalfClosed(1)]


def test_nothing_can_be_sent_before_the_stream_is_accepted(
    pair: tuple[SpdySession, SpdySession],
) -> None:
    """Go would drop it."""
    client, server = pair
    stream_id = client.open({})
    pass_on(client, server)
    for session in pair:
        with pytest.raises(ValueError, match="stream 1 is not accepted yet"):
            session.send(stream_id, b"lost")
        with pytest.raises(ValueError, match="stream 1 is not accepted yet"):
            session.finish(stream_id)
    assert written(server) == b""


def test_accepting_twice_writes_one_reply() -> None:
    session = SpdySession()
    receive(session, SynStream(1, Deflater().block({})))
    assert session.accept(1) and session.accept(1)
    assert [type(frame) for frame in frames(session)] == [SynReply]
    assert not session.accept(3)


def test_long_payloads_become_several_frames_without_a_copy(server: SpdySession) -> None:
    payload = bytes(range(256)) * (FRAME_SIZE // 100)
    server.send(1, payload)
    parts = server.take()
    assert sum(len(part) for part in parts[::2]) == 8 * len(parts[::2])
    assert all(part.obj is payload for part in parts[1::2] if isinstance(part, memoryview))
    assert max(len(part) for part in parts) == FRAME_SIZE
    assert b"".join(parts[1::2]) == payload
    sent = list(Decoder().feed(b"".join(parts)))
    assert b"".join(frame.data for frame in sent if isinstance(frame, Data)) == payload


def test_an_empty_payload_writes_nothing(server: SpdySession) -> None:
    assert server.send(1, b"")
    assert written(server) == b""


def test_a_finished_stream_takes_no_more(server: SpdySession) -> None:
    assert server.finish(1)
    assert not server.send(1, b"late")
    assert not server.finish(1)
    assert frames(server) == [Data(1, b"", fin=True)]


def test_a_reset_ends_both_ways_and_is_reported(pair: tuple[SpdySession, SpdySession]) -> None:
    client, server = pair
    stream_id = client.open({})
    pass_on(client, server)
    assert server.reset(stream_id, ResetStatus.REFUSED_STREAM)
    assert pass_on(server, client) == [StreamReset(stream_id, ResetStatus.REFUSED_STREAM)]
    for session in pair:
        assert session.open_streams == 0
        assert not session.send(stream_id, b"late")
        assert not session.reset(stream_id)


def test_what_comes_for_a_stream_that_is_gone_is_dropped(server: SpdySession) -> None:
    server.reset(1)
    server.take()
    late = [Data(1, b"in flight", fin=True), RstStream(1, 5), Headers(1, b"")]
    assert receive(server, *late[:2]) == []
    assert written(server) == b""


def test_bytes_after_the_end_of_a_stream_reset_it(server: SpdySession) -> None:
    events = receive(server, Data(1, b"all", fin=True), Data(1, b"more"))
    assert events[-1] == StreamReset(1, ResetStatus.STREAM_ALREADY_CLOSED)
    assert frames(server) == [RstStream(1, ResetStatus.STREAM_ALREADY_CLOSED)]
    assert server.open_streams == 0


def test_a_second_reply_resets_the_stream() -> None:
    client, deflater = SpdySession(client=True), Deflater()
    client.open({})
    client.take()
    events = receive(client, *(SynReply(1, deflater.block({})) for _ in range(2)))
    assert events == [StreamAccepted(1, {}), StreamReset(1, ResetStatus.STREAM_IN_USE)]


def test_a_stream_that_is_opened_finished_and_one_way_takes_no_answer() -> None:
    session, deflater = SpdySession(), Deflater()
    events = receive(
        session,
        SynStream(1, deflater.block({}), fin=True),
        SynStream(3, deflater.block({}), unidirectional=True),
        SynStream(5, deflater.block({}), fin=True, unidirectional=True),
    )
    assert [event for event in events if isinstance(event, HalfClosed)] == [
        HalfClosed(1),
        HalfClosed(5),
    ]
    assert session.open_streams == 2
    assert not session.send(3, b"answer")


def test_a_stream_can_be_opened_with_nothing_to_send(pair: tuple[SpdySession, SpdySession]) -> None:
    client, server = pair
    stream_id = client.open({}, fin=True)
    assert pass_on(client, server) == [StreamOpened(stream_id, {}), HalfClosed(stream_id)]
    server.accept(stream_id)
    server.send(stream_id, b"answer")
    server.finish(stream_id)
    events = pass_on(server, client)
    assert events == [
        StreamAccepted(stream_id, {}),
        Data(stream_id, b"answer"),
        HalfClosed(stream_id),
    ]
    assert not client.send(stream_id, b"nothing to send")
    assert (client.open_streams, server.open_streams) == (0, 0)


def test_pings_are_answered_and_own_ones_reported(pair: tuple[SpdySession, SpdySession]) -> None:
    client, server = pair
    assert (client.ping(), client.ping(), server.ping()) == (1, 3, 2)
    assert pass_on(client, server) == []
    assert pass_on(server, client) == [Pong(1), Pong(3)]
    assert pass_on(client, server) == [Pong(2)]
    assert (written(client), written(server)) == (b"", b"")


def test_settings_and_window_updates_change_nothing(server: SpdySession) -> None:
    events = receive(
        server, SettingsFrame(((0, 7, 0), (0, 4, 0))), WindowUpdate(1, 5), WindowUpdate(0, 5)
    )
    assert events == []
    assert server.send(1, bytes(1 << 20))


def test_going_away_is_said_once_and_refuses_further_streams(server: SpdySession) -> None:
    server.go_away()
    server.go_away()
    assert frames(server) == [GoAway(1, GoAwayStatus.OK)]
    deflater = Deflater()
    deflater.block({})
    assert receive(server, SynStream(3, deflater.block({})), Data(3, b"unwanted")) == []
    assert server.send(1, b"still open")


# ---- limits


def test_more_streams_than_allowed_are_refused_and_a_closed_one_makes_room() -> None:
    session, deflater = SpdySession(max_streams=2), Deflater()
    opened = [SynStream(stream_id, deflater.block({})) for stream_id in (1, 3, 5)]
    assert receive(session, *opened) == [StreamOpened(1, {}), StreamOpened(3, {})]
    assert frames(session) == [RstStream(5, ResetStatus.REFUSED_STREAM)]
    receive(session, RstStream(1, 5))
    last = SynStream(7, deflater.block({"n": "v"}))
    assert receive(session, last) == [StreamOpened(7, {"n": "v"})]


def test_a_stream_that_is_not_read_makes_the_session_congested(server: SpdySession) -> None:
    pieces = receive(server, *(Data(1, bytes(1 << 16)) for _ in range(17)))
    assert server.congested
    for piece in pieces:
        assert isinstance(piece, Data)
        server.consumed(piece)
    assert not server.congested


def test_many_small_pieces_count_for_more_than_their_bytes(server: SpdySession) -> None:
    """Each is an object; a million bytes in a million pieces would be 100 MB."""
    receive(server, *(Data(1, b"x") for _ in range(UNREAD // 100)))
    assert server.congested


def test_a_congested_stream_that_is_reset_frees_the_others(server: SpdySession) -> None:
    pieces = receive(server, Data(1, bytes(UNREAD + 1)))
    assert server.congested
    server.reset(1)
    assert not server.congested
    assert isinstance(pieces[0], Data)
    server.consumed(pieces[0])
    assert not server.congested


@pytest.mark.parametrize(
    "frame",
    [Ping(1), SettingsFrame(()), WindowUpdate(1, 1), Data(1, b"")],
    ids=lambda f: type(f).__name__,
)
def test_a_flood_of_frames_that_carry_nothing_ends_the_session(
    server: SpdySession, frame: Frame
) -> None:
    assert "too many control frames" in failure(receive(server, *[frame] * int(CONTROL_BURST + 1)))
    assert list(Decoder().feed(written(server)))[-1] == GoAway(1, GoAwayStatus.PROTOCOL_ERROR)


def test_frames_that_carry_nothing_are_fine_at_a_usual_rate(server: SpdySession) -> None:
    for second in range(1, 60):
        assert receive(server, *[Ping(1)] * int(CONTROL_RATE), now=float(second)) == []


def test_a_quiet_hour_does_not_allow_a_larger_flood(server: SpdySession) -> None:
    receive(server, Ping(1), now=1.0)
    flood = [Ping(1)] * int(CONTROL_BURST + 1)
    assert "too many control frames" in failure(receive(server, *flood, now=3601.0))


def test_streams_opened_and_reset_in_a_row_end_the_session() -> None:
    session, deflater = SpdySession(max_streams=5), Deflater()
    storm = [
        frame
        for stream_id in range(1, 4 * int(CONTROL_BURST), 2)
        for frame in (SynStream(stream_id, deflater.block({})), RstStream(stream_id, 5))
    ]
    assert "too many control frames" in failure(receive(session, *storm))


# ---- peers that break the protocol


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ([Data(3, b"x")], "stream 3 was never opened"),
        ([Data(2, b"x")], "stream 2 was never opened"),
        ([RstStream(5, 1)], "stream 5 was never opened"),
        ([RstStream(2, 1)], "stream 2 was never opened"),
    ],
)
def test_frames_for_streams_that_never_were_end_the_session(
    server: SpdySession, sent: list[Frame], reason: str
) -> None:
    assert failure(receive(server, *sent)) == reason


@pytest.mark.parametrize("stream_id", [1, 2, 4])
def test_a_stream_with_a_wrong_id_ends_the_session(server: SpdySession, stream_id: int) -> None:
    deflater = Deflater()
    deflater.block({})
    reason = failure(receive(server, SynStream(stream_id, deflater.block({}))))
    assert reason == f"stream {stream_id} opened after 1, by the wrong side"


def test_an_id_that_was_passed_over_cannot_be_used_later() -> None:
    session, deflater = SpdySession(), Deflater()
    opened = [SynStream(stream_id, deflater.block({})) for stream_id in (5, 3)]
    assert "stream 3" in failure(receive(session, *opened))


@pytest.mark.parametrize("stream_id", [1, 2])
def test_a_reply_to_a_stream_that_was_not_opened_ends_the_session(
    server: SpdySession, stream_id: int
) -> None:
    deflater = Deflater()
    deflater.block({})
    assert f"stream {stream_id}" in failure(
        receive(server, SynReply(stream_id, deflater.block({})))
    )


def test_headers_of_streams_that_are_gone_or_refused_keep_the_compression_in_step() -> None:
    session, deflater = SpdySession(max_streams=1), Deflater()
    texts = [str(number) * 50 + "the same in each block" for number in (0, 1, 2, 2, 2)]
    blocks = [deflater.block({"n": text}) for text in texts]
    receive(session, SynStream(1, blocks[0]), SynStream(3, blocks[1]), RstStream(1, 5))
    receive(session, Headers(1, blocks[2]), Headers(3, blocks[3]))
    assert receive(session, SynStream(5, blocks[4])) == [StreamOpened(5, {"n": texts[4]})]


def test_more_headers_may_end_a_stream_once(server: SpdySession) -> None:
    deflater = Deflater()
    deflater.block({})
    ends = [Headers(1, deflater.block({"n": "v"}), fin=True) for _ in range(2)]
    assert receive(server, *ends) == [HalfClosed(1)]


def test_a_bad_header_block_ends_the_session_and_what_follows_is_dropped(
    server: SpdySession,
) -> None:
    events = receive(server, Data(1, b"before"), SynStream(3, b"\xff" * 20))
    assert events[0] == Data(1, b"before")
    assert "cannot be inflated" in failure(events)
    assert frames(server) == [GoAway(1, GoAwayStatus.PROTOCOL_ERROR)]
    assert receive(server, Data(1, b"after"), Ping(1)) == []
    server.go_away()
    assert written(server) == b""
