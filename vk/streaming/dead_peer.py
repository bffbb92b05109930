"""Peers that vanished from a connection which may stall: cut off, while those that are there stay.

In: the connection of a session, whose client may read nothing for hours, a pager for example. Out:
nothing; the connection is aborted once its machine has confirmed nothing for a while. Called by
`vk.streaming.http_upgrade` and `vk.streaming.websocket.connection`.

Surprising: the kernel has no limit of its own for this. TCP_USER_TIMEOUT also ends who confirms
every probe and only does not read; keepalive sends nothing while data waits; and without both it
tries for 15 minutes and more. So what the kernel knows of the peer is looked at here. It probes a
peer that has stalled for long every 2 minutes only, so noticing takes 6 minutes there.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

__all__ = ["is_vanished", "watch_peer"]

log = logging.getLogger(__name__)

LOOK = 15.0
"""Seconds between two looks at what the kernel knows."""
SILENCE = 60.0
"""Seconds without a sign of the peer after which unanswered probes mean that it has vanished."""
_UNANSWERED = 3
_INFO_SIZE = 60  # of Linux's tcp_info: up to tcpi_last_ack_recv, its last four bytes


def watch_peer(transport: asyncio.Transport) -> None:
    """Abort ``transport`` once its peer has vanished, and only then: from now on it may stall.

    Where the operating system cannot tell, nothing changes.
    """
    opened = transport.get_extra_info("socket")
    options = [getattr(socket, name, None) for name in ("TCP_USER_TIMEOUT", "TCP_INFO")]
    if opened is None or None in options or opened.family == socket.AF_UNIX:
        return
    limit, info = options
    opened.setsockopt(socket.IPPROTO_TCP, limit, 0)

    def look() -> None:
        if transport.is_closing():
            return
        if is_vanished(opened.getsockopt(socket.IPPROTO_TCP, info, _INFO_SIZE)):
            peer = str(transport.get_extra_info("peername")[0])
            log.info("connection cut", extra={"reason": "client vanished", "peer": peer})
            transport.abort()
        else:
            loop.call_later(LOOK, look)

    loop = asyncio.get_running_loop()
    loop.call_later(LOOK, look)


def is_vanished(info: bytes) -> bool:
    """Say whether the kernel's ``tcp_info`` is that of a peer which has long confirmed nothing."""
    repeated, probes = info[2], info[3]
    silence = int.from_bytes(info[56:60], sys.byteorder) / 1000
    return max(repeated, probes) >= _UNANSWERED and silence >= SILENCE
