"""A network namespace and an address for each pod, on one bridge of this machine.

`Network.open` is called at the start, `add` before a pod starts and `remove` after it has ended.
The whole pod runs in the namespace, including its supervisor, so that probes and commands do too;
`socket_in` opens the socket of a port-forward there.

The alias of the bridge is the name of its owner, since two nodes on one bridge would allocate the
same addresses. The machine's routing is not changed: pods reach each other and the machine, and
other hosts only where forwarding is configured.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from ipaddress import IPv4Network, ip_address
from pathlib import Path

import attrs

import vk
from vk_providers.process.shielding import finish_before_cancel

__all__ = ["Network", "socket_in"]

_NAMESPACES = Path("/run/netns")
_LINKS = Path("/sys/class/net")
_CLONE_NEWNET = 0x40000000
_MISSING = ("Cannot find device", "No such device", "No such file or directory")
"""Error messages of iproute2 for a missing link or namespace."""


@attrs.define(eq=False)
class Network:
    """The pods' network of one node. ``owner`` names cluster and node."""

    _bridge: str
    _range: IPv4Network
    _owner: str
    _ips: dict[str, str] = attrs.field(factory=dict, init=False)
    _enter: str = attrs.field(default="", init=False)

    async def open(self, ips: Mapping[str, str]) -> None:
        """Set the bridge up and remove the namespaces of pods that are not in ``ips`` (by UID).

        Raises ConfigError where this machine does not permit it, or another node owns the bridge.
        """
        enter = shutil.which("nsenter")
        if os.geteuid() != 0 or shutil.which("ip") is None or enter is None:
            needed = "expected root, iproute2 and nsenter for 'namespace'"
            raise vk.ConfigError(f"network: {needed}, found user {os.geteuid()}")
        self._enter, self._ips = enter, dict(ips)
        try:
            await self._set_up()
            for name in self._stale():
                await _ip("netns", "delete", name)
        except vk.TemporaryError as error:
            raise vk.ConfigError(f"network: expected a bridge {self._bridge}: {error}") from error

    async def add(self, uid: str) -> str:
        """Create the pod's namespace and return its address; idempotent."""
        ip = self._ips.get(uid) or self._free()
        self._ips[uid] = ip
        if not self.namespace(uid).exists():
            try:
                await self._make(uid, ip)
            except BaseException:
                await self.remove(uid)
                raise
        return ip

    async def remove(self, uid: str) -> None:
        """Remove namespace and address; idempotent, also concurrently."""
        if self.namespace(uid).exists():
            await _ip("netns", "delete", self.namespace(uid).name, missing_ok=True)
        link = self._link(uid)
        if _link_exists(link):  # else it was removed with the namespace
            await _ip("link", "delete", link, missing_ok=True)
        self._ips.pop(uid, None)

    def namespace(self, uid: str) -> Path:
        """Return the file of the pod's namespace."""
        return _NAMESPACES / f"{self._prefix}{uid}"

    def wrap(self, uid: str) -> list[str]:
        """Return the command prefix that runs a command in the pod's namespace."""
        return [self._enter, f"--net={self.namespace(uid)}", "--"]

    @property
    def _prefix(self) -> str:
        return f"vk-{_digest(self._owner)}-"

    def _link(self, uid: str) -> str:
        """Return the name of the host end of the pod's veth pair."""
        return f"vk{_digest(self._owner + uid)}"

    def _free(self) -> str:
        # Reserved: the network address, the bridge's address, the broadcast address.
        taken = {int(ip_address(ip)) for ip in self._ips.values()}
        first = int(self._range.network_address)
        for number in range(first + 2, first + self._range.num_addresses - 1):
            if number not in taken:
                return str(ip_address(number))
        raise vk.TemporaryError(f"no free pod address in {self._range}")

    async def _set_up(self) -> None:
        gateway = f"{self._range[1]}/{self._range.prefixlen}"
        if not _link_exists(self._bridge):
            await _ip("link", "add", "name", self._bridge, "type", "bridge")
        else:
            await self._check_bridge()
        await _ip("link", "set", "dev", self._bridge, "alias", self._owner, "up")
        await _ip("address", "replace", gateway, "dev", self._bridge)

    async def _check_bridge(self) -> None:
        """Raise ConfigError where another node uses the bridge; an unused one is taken over."""
        (bridge,) = json.loads(await _ip("-json", "link", "show", "dev", self._bridge))
        if bridge.get("ifalias") == self._owner:
            return
        if _has_ports(self._bridge):
            found = bridge.get("ifalias") or "another owner"
            text = f"it belongs to {found}: set another 'bridge' and 'pod_cidr'"
            raise vk.ConfigError(f"bridge: {self._bridge} cannot be used: {text}")
        await _ip("address", "flush", "dev", self._bridge)

    def _stale(self) -> list[str]:
        wanted = {self.namespace(uid).name for uid in self._ips}
        names = os.listdir(_NAMESPACES) if _NAMESPACES.exists() else []
        return [name for name in names if name.startswith(self._prefix) and name not in wanted]

    async def _make(self, uid: str, ip: str) -> None:
        name, link = self.namespace(uid).name, self._link(uid)
        if _link_exists(link):  # of a namespace that was removed from outside
            await _ip("link", "delete", link, missing_ok=True)
        await _ip("netns", "add", name)
        await _batch(
            f"link add {link} type veth peer name eth0 netns {name}",
            f"link set {link} master {self._bridge} up",
        )
        await _batch(
            "link set lo up",
            f"address add {ip}/{self._range.prefixlen} dev eth0",
            "link set eth0 up",
            f"route add default via {self._range[1]}",
            namespace=name,
        )


async def socket_in(namespace: Path, family: socket.AddressFamily) -> socket.socket:
    """Return a TCP socket in a network namespace; raises NotFoundError without one."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(
        1
    ) as thread:  # the thread stays in the namespace, so it ends with this call
        return await loop.run_in_executor(thread, _socket_in, namespace, family)


def _socket_in(namespace: Path, family: socket.AddressFamily) -> socket.socket:
    try:
        descriptor = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise vk.NotFoundError(f"no network namespace {namespace.name}") from None
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            text = os.strerror(ctypes.get_errno())
            raise vk.TemporaryError(f"cannot enter namespace {namespace.name}: {text}")
    finally:
        os.close(descriptor)
    return socket.socket(family, socket.SOCK_STREAM)


async def _batch(*commands: str, namespace: str = "") -> None:
    where = ("-netns", namespace) if namespace else ()
    await _ip(*where, "-batch", "-", lines=commands)


async def _ip(*arguments: str, lines: Sequence[str] = (), missing_ok: bool = False) -> str:
    """Run iproute2 to completion and return its output; raises TemporaryError."""
    code, stdout, stderr = await finish_before_cancel(
        _run(arguments, "".join(f"{line}\n" for line in lines))
    )
    text = stderr.decode(errors="replace").strip()
    if code and not (missing_ok and any(each in text for each in _MISSING)):
        raise vk.TemporaryError(f"ip {' '.join(arguments)}: {text or code}")
    return stdout.decode()


async def _run(arguments: Sequence[str], lines: str) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *("ip", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await process.communicate(lines.encode())
    return process.returncode, stdout, stderr


def _link_exists(name: str) -> bool:
    return (_LINKS / name).exists()


def _has_ports(bridge: str) -> bool:
    ports = _LINKS / bridge / "brif"
    return ports.exists() and any(ports.iterdir())


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:10]
