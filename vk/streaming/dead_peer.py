"""Dead peers: abort a connection whose peer has vanished, keep one whose peer only stalls.

In: the connection of a session, whose client may read nothing for hours, for example in a pager.
Out: nothing; the connection is aborted once its peer has acknowledged nothing for a while. Called
by `vk.streaming.http_upgrade` and `vk.streaming.websocket.connection`.

The kernel has no limit of its own for this. TCP_USER_TIMEOUT also ends a peer that acknowledges
every probe and only does not read; keepalive sends nothing while data waits; and without both the
kernel retries for 15 minutes and more. So what the kernel knows of the peer is read here. It probes
a peer that has stalled for long every 2 minutes only, so detection takes 6 minutes there.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys

from vk.aio.transports import abort

__all__ = ["abort_when_dead", "peer_is_dead"]

log = logging.getLogger(__name__)

CHECK_INTERVAL = 15.0
"""Seconds between two reads of the kernel's ``tcp_info``."""
SILENCE = 60.0
"""Seconds without an acknowledgement after which unanswered probes mean that the peer is dead."""
_UNANSWERED = 3
_INFO_SIZE = 60  # of Linux's tcp_info: up to tcpi_last_ack_recv, its last four bytes


def abort_when_dead(transport: asyncio.Transport) -> None:
    """Abort ``transport`` once its peer is dead, and only then: from now on it may stall.

    Where the operating system has no ``tcp_info``, nothing changes.
    """
    opened = transport.get_extra_info("socket")
    options = [getattr(socket, name, None) for name in ("TCP_USER_TIMEOUT", "TCP_INFO")]
    if opened is None or None in options or opened.family == socket.AF_UNIX:
        return
    limit, info = options
    opened.setsockopt(socket.IPPROTO_TCP, limit, 0)

    def check() -> None:
        if transport.is_closing():
            return
        if peer_is_dead(opened.getsockopt(socket.IPPROTO_TCP, info, _INFO_SIZE)):
            peer = str(transport.get_extra_info("peername")[0])
            log.info("connection aborted", extra={"reason": "peer is dead", "peer": peer})
            abort(transport)
        else:
            loop.call_later(CHECK_INTERVAL, check)

    loop = asyncio.get_running_loop()
    loop.call_later(CHECK_INTERVAL, check)


def peer_is_dead(info: bytes) -> bool:
    """Return whether ``info``, the kernel's ``tcp_info``, is that of a peer long silent."""
    repeated, probes = info[2], info[3]
    silence = int.from_bytes(info[56:60], sys.byteorder) / 1000
    return max(repeated, probes) >= _UNANSWERED and silence >= SILENCE
