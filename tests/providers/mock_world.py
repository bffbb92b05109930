"""What the tests of the mock share: pods, a provider without a cluster, a client's streams."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

import vk
from vk_providers.mock.config import MockConfig
from vk_providers.mock.provider import MockProvider

simulated = pytest.mark.looptime
_uids = itertools.count(1)


def pod(
    *, policy: str = "Always", inits: list[dict[str, str]] | None = None, **scenario: str
) -> vk.Pod:
    uid = f"uid-{next(_uids)}"
    annotations = {f"mock.vk/{name.replace('_', '-')}": text for name, text in scenario.items()}
    metadata = {"namespace": "default", "name": "p", "uid": uid, "annotations": annotations}
    spec = {"containers": [{"name": "c"}], "initContainers": inits, "restartPolicy": policy}
    return vk.Pod({"metadata": metadata, "spec": spec})


async def _nothing(*_: Any) -> None:
    return None


def build(
    *, node: str = "node", pods: dict[str, vk.Pod] | None = None, **settings: Any
) -> MockProvider:
    return MockProvider(
        vk.ProviderContext(
            node_name=node,
            cluster_uid="cluster",
            config=MockConfig(**settings),
            pods=pods or {},
            secret=_nothing,
            config_map=_nothing,
            annotate=_nothing,
            check_lease=lambda: None,
            emit=lambda *_, **__: None,
            node_changed=lambda: None,
        )
    )


@attrs.define(eq=False)
class Side:
    """One side of a connection as a client has it: what it sends, and what it was sent."""

    received: bytes = b""
    ended: bool = False
    """Whether the other side has ended its direction."""
    _sent: asyncio.Queue[bytes] = attrs.field(factory=asyncio.Queue)
    _over: bool = False

    def send(self, *pieces: bytes, end: bool = False) -> Side:
        """Send ``pieces``, each to be read as one, and then the end."""
        for piece in (*pieces, *([b""] if end else [])):
            self._sent.put_nowait(piece)
        return self

    async def read(self, limit: int = 65536) -> bytes:
        piece = b"" if self._over else await self._sent.get()
        self._over = not piece
        return piece

    async def write(self, data: bytes) -> None:
        self.received += data

    async def write_eof(self) -> None:
        self.ended = True


@attrs.define(eq=False)
class Client:
    """The streams of an exec or attach, by default those of ``kubectl exec`` without ``-i``."""

    stdin: Side | None = None
    stdout: Side | None = attrs.field(factory=Side)
    stderr: Side | None = attrs.field(factory=Side)
    tty: bool = False

    @classmethod
    def terminal(cls, stdin: Side) -> Client:
        return cls(stdin, stderr=None, tty=True)

    @property
    def out(self) -> bytes:
        return self.stdout.received if self.stdout is not None else b""

    @property
    def err(self) -> bytes:
        return self.stderr.received if self.stderr is not None else b""

    async def sizes(self) -> AsyncIterator[vk.TerminalSize]:
        for size in [vk.TerminalSize(80, 24)] if self.tty else []:
            yield size
