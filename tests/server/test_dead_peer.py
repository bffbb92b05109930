"""A client whose machine vanishes without a word, as one behind a cable that was pulled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator

import attrs
import pytest
from exec_clients import path
from isolation_here import needs_namespaces
from streaming_world import served

from vk.streaming import dead_peer
from vk.streaming.dead_peer import peer_is_dead

CLIENT = """
import socket, ssl, sys
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
stalling = tls.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2]))))
head = f"GET {sys.argv[3]} HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\n"
head += "Upgrade: websocket\\r\\n"
head += "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n"
stalling.sendall((head + "Sec-WebSocket-Protocol: v5.channel.k8s.io\\r\\n\\r\\n").encode())
print(stalling.recv(12).decode(), flush=True)
sys.stdin.read()
"""


@attrs.frozen
class Machine:
    """Another machine on a cable of its own: a network namespace."""

    name: str
    here: str = "10.213.7.1"
    there: str = "10.213.7.2"

    def plug_in(self) -> None:
        self._ip("netns", "add", self.name)
        cable = ("type", "veth", "peer", "name", "cable", "netns", self.name)
        self._ip("link", "add", self.name, *cable)
        self._ip("address", "add", f"{self.here}/30", "dev", self.name)
        self._ip("link", "set", self.name, "up")
        self._ip("-n", self.name, "address", "add", f"{self.there}/30", "dev", "cable")
        self._ip("-n", self.name, "link", "set", "cable", "up")
        mac = self._ip("-n", self.name, "-brief", "link", "show", "cable").split()[2]
        self._ip(*("neighbour", "replace", self.there, "lladdr", mac, "dev", self.name))

    def vanish(self) -> None:
        """Take its address away: what is sent there is lost, and nothing comes back."""
        self._ip("-n", self.name, "address", "flush", "dev", "cable")

    def remove(self) -> None:
        self._ip("netns", "delete", self.name)

    def _ip(self, *arguments: str) -> str:
        return subprocess.run(["ip", *arguments], check=True, text=True, stdout=PIPE).stdout


@pytest.fixture
def machine() -> Iterator[Machine]:
    machine = Machine(f"vk-v{os.getpid()}")
    machine.plug_in()
    try:
        yield machine
    finally:
        machine.remove()


@pytest.mark.slow
@needs_namespaces[0]
@needs_namespaces[1]
async def test_a_stalled_client_is_kept_until_its_machine_vanishes(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the peer acknowledges, a session may stall; then it ends, and its command."""
    monkeypatch.setattr(dead_peer, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(dead_peer, "SILENCE", 0.3)
    async with served(host=machine.here) as server:
        target = path("exec", "yes", streams="o")
        command = (sys.executable, "-c", CLIENT, machine.here, str(server.port), target)
        client = await asyncio.create_subprocess_exec(
            *("ip", "netns", "exec", machine.name, *command), stdin=PIPE, stdout=PIPE
        )
        try:
            assert client.stdout is not None
            assert (await client.stdout.readline()) == b"HTTP/1.1 101\n"
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(server.provider.cancelled.wait(), 0.6)
            machine.vanish()
            await asyncio.wait_for(server.provider.cancelled.wait(), 20)
        finally:
            client.kill()
            await client.wait()


@pytest.mark.parametrize(
    ("repeated", "probes", "silence", "expected"),
    [
        (0, 0, 3_600_000, False),  # idle, nothing is owed
        (0, 1, 120_000, False),  # stalled for long, a probe is under way
        (9, 0, 59_000, False),
        (3, 0, 60_000, True),
        (0, 3, 360_000, True),
    ],
)
def test_when_a_peer_is_dead(repeated: int, probes: int, silence: int, expected: bool) -> None:
    info = bytearray(60)
    info[2], info[3] = repeated, probes
    info[56:60] = silence.to_bytes(4, sys.byteorder)
    assert peer_is_dead(bytes(info)) == expected
