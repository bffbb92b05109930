"""The state of the mock: allocated addresses, and a state file with its pods.

The file is an append-only log with one JSON line for each creation or deletion; opening it compacts
it. It survives the process but not a crash of the machine, since writes are not synced to disk.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Any, Self

import attrs
import cattrs
import orjson

import vk
from vk_providers.mock.pod import MockPod

__all__ = ["AddressPool", "StateFile"]


@attrs.define(eq=False)
class AddressPool:
    """Allocates addresses of a network, the lowest free one first."""

    _network: IPv4Network | IPv6Network
    _taken: set[int] = attrs.field(factory=set, init=False)
    _freed: list[int] = attrs.field(factory=list, init=False)
    _next: int = attrs.field(default=1, init=False)

    def take(self) -> str:
        """Return a free address; raises TemporaryError where there is none."""
        offset = heapq.heappop(self._freed) if self._freed else self._fresh()
        self._taken.add(offset)
        return str(self._network[offset])

    def reserve(self, address: str) -> None:
        """Mark an address as allocated; addresses of other networks are ignored."""
        if (offset := self._offset(address)) is not None:
            self._taken.add(offset)

    def release(self, address: str) -> None:
        """Release an address; addresses of other networks are ignored."""
        offset = self._offset(address)
        if offset is not None and offset in self._taken:
            self._taken.remove(offset)
            if offset < self._next:  # else `_fresh` returns it later
                heapq.heappush(self._freed, offset)

    def _fresh(self) -> int:
        while self._next in self._taken:
            self._next += 1
        # The first address names the network, the last one is its broadcast address.
        if self._next >= self._network.num_addresses - 1:
            raise vk.TemporaryError(f"no free pod address in {self._network}")
        self._next += 1
        return self._next - 1

    def _offset(self, text: str) -> int | None:
        address = ip_address(text)
        if address not in self._network:
            return None
        return int(address) - int(self._network.network_address)


@attrs.define(eq=False)
class StateFile:
    """The log of one node's pods; the node's lease ensures a single writer."""

    _path: Path
    _owner: dict[str, str]
    workloads: dict[str, MockPod] = attrs.field(factory=dict, init=False)
    """The pods in the file when it was opened, by UID."""
    _file: int = attrs.field(default=-1, init=False)

    @classmethod
    def open(cls, path: str, *, node: str, cluster: str) -> Self:
        """Read the file and compact it; raises ConfigError where it is not this node's."""
        state = cls(Path(path).expanduser(), {"node": node, "cluster": cluster})
        try:
            state._load()
            state._compact()
        except OSError as error:
            raise vk.ConfigError(f"state: expected a file that can be written: {error}") from error
        return state

    def created(self, workload: MockPod) -> None:
        """Append a creation; raises TemporaryError, and leaves the file as it was."""
        self._append({"created": attrs.asdict(workload)})

    def deleted(self, workload: MockPod) -> None:
        """Append a deletion; raises like `created`."""
        self._append({"deleted": workload.key.uid})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _load(self) -> None:
        if not self._path.exists():
            return
        content = self._path.read_bytes()
        lines = content[: content.rfind(b"\n") + 1].splitlines()  # ignores a partial line
        for number, line in enumerate(lines, 1):
            try:
                self._apply(orjson.loads(line), first=number == 1)
            except (LookupError, TypeError, ValueError, cattrs.BaseValidationError) as error:
                expected = f"a line of the mock provider's log ({type(error).__name__})"
                if isinstance(error, vk.ConfigError):
                    raise
                raise vk.ConfigError(
                    f"state: {self._path} line {number}: expected {expected}"
                ) from error

    def _apply(self, entry: dict[str, Any], *, first: bool) -> None:
        if first:
            if entry["owner"] != self._owner:
                expected = f"the pods of {self._owner}, found those of {entry['owner']}"
                raise vk.ConfigError(f"state: {self._path}: expected {expected}")
        elif "deleted" in entry:
            self.workloads.pop(entry["deleted"], None)
        else:
            workload = cattrs.structure(entry["created"], MockPod)
            self.workloads[workload.key.uid] = workload

    def _compact(self) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        with fresh.open("wb") as file:
            file.writelines(self._lines())
        fresh.replace(self._path)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)

    def _lines(self) -> Iterator[bytes]:
        yield orjson.dumps({"owner": self._owner}) + b"\n"
        for workload in self.workloads.values():
            yield orjson.dumps({"created": attrs.asdict(workload)}) + b"\n"

    def _append(self, entry: dict[str, Any]) -> None:
        line = orjson.dumps(entry) + b"\n"
        size = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) != len(line):
                raise OSError("the disk is full")
        except OSError as error:
            os.ftruncate(self._file, size)  # a partial line would corrupt the next one
            raise vk.TemporaryError(f"cannot write {self._path}: {error}") from error
