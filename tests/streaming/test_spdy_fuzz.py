"""SPDY sessions under random use and random bytes: nothing raises, mixes up or grows."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from go_frames import GO_FRAMES
from hypothesis import given, settings
from hypothesis import strategies as st

from vk.streaming.spdy.frames import MAX_CONTROL, Data
from vk.streaming.spdy.session import Event, HalfClosed, SessionFailed, SpdySession, StreamOpened

# What happens to one of a few streams, and how many bytes that involves.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("open", "send", "send", "finish", "answer", "end", "ping")),
        st.integers(0, 3),
        st.integers(1, 200_000),
    ),
    max_size=30,
)
CUTS = st.randoms(use_true_random=False)


class UpgradedConnection:
    """Two sessions, with all bytes between them cut into chunks at random."""

    def __init__(self, cuts: random.Random) -> None:
        self.client, self.server = (
            SpdySession(client=True, max_streams=0),
            SpdySession(max_streams=4),
        )
        self.cuts = cuts
        self.got: dict[tuple[str, int], bytearray] = defaultdict(bytearray)
        self.ended: set[tuple[str, int]] = set()

    def settle(self) -> None:
        """Pass bytes on until neither side has more to send."""
        sides = (("server", self.client, self.server), ("client", self.server, self.client))
        while any(self._pass(*side) for side in sides):
            pass

    def _pass(self, name: str, source: SpdySession, target: SpdySession) -> bool:
        wire = b"".join(source.take())
        position = 0
        while position < len(wire):
            size = self.cuts.randint(1, 70_000) if self.cuts.random() < 0.8 else 1
            for event in target.receive(wire[position : position + size], 0.0):
                self._note(name, target, event)
            position += size
        return bool(wire)

    def _note(self, name: str, session: SpdySession, event: Event) -> None:
        assert not isinstance(event, SessionFailed), event
        match event:
            case StreamOpened(stream_id):
                assert session.accept(stream_id)
            case Data(stream_id, data):
                assert (name, stream_id) not in self.ended
                self.got[name, stream_id] += data
                session.consumed(event)
            case HalfClosed(stream_id):
                assert (name, stream_id) not in self.ended
                self.ended.add((name, stream_id))


@pytest.mark.slow
@given(STEPS, CUTS)
def test_every_stream_gets_its_bytes_once_and_in_order(
    steps: list[tuple[str, int, int]], cuts: random.Random
) -> None:
    wire = UpgradedConnection(cuts)
    sent: dict[tuple[str, int], bytearray] = defaultdict(bytearray)
    finished: set[tuple[str, int]] = set()
    ids: list[int] = []
    for step, which, size in steps:
        if step == "open" and len(ids) < 4:
            ids.append(wire.client.open({"streamtype": "data", "requestid": str(len(ids))}))
            wire.settle()
        if step == "ping":
            wire.client.ping()
        if which >= len(ids) or step in ("open", "ping"):
            continue
        stream_id = ids[which]
        to, session = (
            ("client", wire.server) if step in ("answer", "end") else ("server", wire.client)
        )
        if step in ("send", "answer"):
            payload = cuts.randbytes(size)
            if session.send(stream_id, payload):
                sent[to, stream_id] += payload
        elif session.finish(stream_id):
            finished.add((to, stream_id))
    wire.settle()
    assert wire.got == sent
    assert wire.ended == finished
    gone = [n for n in ids if {("client", n), ("server", n)} <= finished]
    assert wire.server.open_streams == wire.client.open_streams == len(ids) - len(gone)
    assert not wire.server.congested


def feed(wire: bytes, size: int) -> tuple[SpdySession, list[Event]]:
    """Give bytes to a session as its owner would, which accepts every stream and reads at once."""
    session = SpdySession()
    events: list[Event] = []
    for start in range(0, len(wire), size):
        for event in session.receive(wire[start : start + size], 0.0):
            events.append(event)
            if isinstance(event, StreamOpened):
                session.accept(event.stream_id)
            elif isinstance(event, Data):
                session.consumed(event)
    return session, events


def check(session: SpdySession, events: list[Event], wire: bytes) -> None:
    failed = [event for event in events if isinstance(event, SessionFailed)]
    assert failed == events[len(events) - len(failed) :]
    assert len(failed) <= 1
    assert sum(len(event.data) for event in events if isinstance(event, Data)) <= len(wire)
    assert len(session._decoder._pending) <= MAX_CONTROL + 8
    assert session.open_streams <= session.max_streams
    assert len(b"".join(session.take())) <= 2 * len(wire) + 16


def whole(events: list[Event]) -> list[Event]:
    """Put together what chunks have cut: consecutive pieces of one stream."""
    result: list[Event] = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, Data) and isinstance(last, Data) and last.stream_id == event.stream_id:
            result[-1] = Data(event.stream_id, last.data + event.data, event.fin)
        else:
            result.append(event)
    return result


VALID = bytes.fromhex("".join(text for text, _, _ in GO_FRAMES if text[:8] != "80030002"))


def mutated(rng: random.Random) -> bytes:
    """Return a good connection with some bytes changed, moved, repeated or cut away."""
    wire = bytearray(VALID)
    for _ in range(rng.randint(1, 6)):
        position = rng.randrange(len(wire))
        length = rng.randint(1, 12)
        match rng.randrange(4):
            case 0:
                wire[position] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 1:
                del wire[position : position + length]
            case 2:
                wire[position:position] = wire[position : position + length]
            case 3:
                wire[position:position] = rng.randbytes(length)
    return bytes(wire)


@settings(max_examples=300)
@given(st.binary(max_size=2000), st.integers(1, 50))
def test_any_bytes_are_events_or_one_failure(wire: bytes, size: int) -> None:
    check(*feed(wire, size), wire)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_damaged_connections_are_events_or_one_failure_in_any_chunks(seed: int) -> None:
    """A bounded fuzz run; the seeds make it the same each time."""
    rng = random.Random(seed)
    for _ in range(4000):
        wire = mutated(rng)
        session, events = feed(wire, len(wire))
        check(session, events, wire)
        session, cut = feed(wire, rng.randint(1, 40))
        check(session, cut, wire)
        assert whole(cut) == whole(events)
