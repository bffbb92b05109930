"""Frames as Go's moby/spdystream 0.5.1, the library of every Kubernetes client, writes them.

All of one connection and in this order, since each header block goes on where the last one ended.
"""

from __future__ import annotations

from vk.streaming.spdy.frames import (
    Data,
    Frame,
    GoAway,
    Headers,
    Ping,
    RstStream,
    SettingsFrame,
    SynReply,
    SynStream,
    WindowUpdate,
)

__all__ = ["GO_FRAMES"]

GO_FRAMES: tuple[tuple[str, Frame, dict[str, str] | None], ...] = (
    (
        "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a"
        "6800000000ffff",
        SynStream(1, b""),
        {"streamtype": "error"},
    ),
    (
        "800300010000001700000003000000000000c22e555c92929907000000ffff",
        SynStream(3, b""),
        {"streamtype": "stdin"},
    ),
    (
        "800300010000001900000005000000000000c22ac5565c92925f5a02000000ffff",
        SynStream(5, b""),
        {"streamtype": "stdout"},
    ),
    (
        "800300010100001c0000000700000001a00082cab114e41781338f85818501000000ffff",
        SynStream(7, b"", fin=True, associated_id=1, priority=5),
        {"port": "8080"},
    ),
    (
        "800300080000001c00000001828ab155e8e626e65582ab80bc548692f27c00000000ffff",
        Headers(1, b""),
        {"x-many": "one\0two"},
    ),
    ("800300020000000e000000016260606000000000ffff", SynReply(1, b""), {}),
    (
        "800300020100000f000000038249a2671300000000ffff",
        SynReply(3, b"", fin=True),
        {"status": "200 OK"},
    ),
    ("000000030000000668656c6c6f0a", Data(3, b"hello\n"), None),
    ("0000000301000000", Data(3, b"", fin=True), None),
    ("80030003000000080000000500000005", RstStream(5, 5), None),
    (
        "80030004000000140000000201000007000100000000000400000064",
        SettingsFrame(((1, 7, 65536), (0, 4, 100))),
        None,
    ),
    ("800300060000000400000001", Ping(1), None),
    ("80030009000000080000000300008000", WindowUpdate(3, 32768), None),
    ("80030007000000080000000000000000", GoAway(0, 0), None),
)
"""Bytes in hexadecimal, the frame without its header block, and the headers of that block."""
