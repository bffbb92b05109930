"""What the provider's tests share: a provider with its pods, and clients of their streams.

Pods are real processes. Waiting is on the provider's own stream of changes, never on the clock.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from supervised import parent_of

import vk
from vk_providers.process.config import Image, ProcessConfig
from vk_providers.process.provider import ProcessProvider

LIMIT = 20.0
"""Seconds after which a test has failed; nothing waits for them to pass."""
CLUSTER, NODE = "cluster", f"node-{os.getpid()}"
"""Namespaces and links of the machine are named after them: two runs at once must differ."""

_uids = itertools.count(1)


@contextmanager
def state_folder() -> Iterator[Path]:
    """Give a folder that other users can pass through, as those of tmp_path cannot."""
    folder = Path(tempfile.mkdtemp(prefix="vk-process-test-"))
    try:
        yield folder
    finally:
        for pid in _processes():  # of a test that failed
            if any(_works_in(pid, pod) for pod in folder.glob("*/*/pods/*")):
                os.kill(pid, signal.SIGTERM)
        shutil.rmtree(folder)


def sh(script: str, *, name: str = "c", **fields: Any) -> dict[str, Any]:
    """A container that runs a shell script."""
    return {"name": name, "command": ["sh", "-c", script], **fields}


def pod(*containers: dict[str, Any], uid: str = "", **spec: Any) -> vk.Pod:
    """A pod of these containers."""
    number = next(_uids)
    metadata = {
        "namespace": "default",
        "name": f"p{number}",
        "uid": uid or f"uid-{os.getpid()}-{number}",
    }
    policy = {"restartPolicy": "Never"}
    return vk.Pod({"metadata": metadata, "spec": {"containers": containers, **policy, **spec}})


@attrs.define(eq=False)
class Node:
    """A provider, the pods of its API server, and the reported changes."""

    provider: ProcessProvider
    state: Path
    pods: dict[str, vk.Pod]
    events: list[tuple[str, str, str, str | None]]
    """Type, reason, message and id."""
    statuses: dict[str, vk.PodStatus] = attrs.field(factory=dict)
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def create(self, pod: vk.Pod) -> vk.PodStatus:
        """Give the pod to the API server and the provider."""
        self.pods[pod.key.uid] = pod
        return await self.provider.create_pod(pod)

    async def until(
        self, pod: vk.Pod, wanted: Callable[[vk.PodStatus], object] = lambda status: is_up(status)
    ) -> vk.PodStatus:
        """Return the first status of the stream for which ``wanted`` holds: it runs."""
        status = None
        async with asyncio.timeout(LIMIT):
            while True:
                news = self._news
                status = self.statuses.get(pod.key.uid)
                if status is not None and wanted(status):
                    return status
                await news.wait()

    async def output(self, pod: vk.Pod, script: str, *, name: str = "c") -> str:
        """Run a script in a container and return its output of both streams."""
        io = Client()
        async with asyncio.timeout(LIMIT):
            await self.provider.exec(vk.ContainerKey(pod.key, name), ["sh", "-c", script], io)
        return (io.said + io.complained).decode()

    async def log(self, pod: vk.Pod, name: str = "c", **options: Any) -> str:
        """Return a container's log as it is now."""
        async with asyncio.timeout(LIMIT):
            key = vk.ContainerKey(pod.key, name)
            content = self.provider.logs(key, vk.LogOptions(**options))
            async with aclosing(content) as pieces:  # type: ignore[type-var] # a generator
                return b"".join([piece async for piece in pieces]).decode()

    async def first_line(self, pod: vk.Pod, name: str = "c") -> str:
        """Return the first line of a container's log, once it is there."""
        await self.until(pod, lambda status: is_up(status, name) or ended(status, name))
        content = self.provider.logs(vk.ContainerKey(pod.key, name), vk.LogOptions(follow=True))
        async with asyncio.timeout(LIMIT), aclosing(content) as pieces:  # type: ignore[type-var] # a generator
            said = b""
            async for piece in pieces:
                said += piece
                if b"\n" in said:
                    break
        return said.decode().split("\n")[0]

    async def end(self, pod: vk.Pod) -> None:
        """End the pod for good, so that nothing of it is left."""
        self.pods.pop(pod.key.uid, None)
        with suppress(vk.NotFoundError):
            async with asyncio.timeout(LIMIT):
                while True:
                    news = self._news
                    with suppress(vk.TemporaryError):  # its supervisor is just ending
                        await self.provider.delete_pod(pod.key, grace_period=0)
                    await news.wait()

    def hear(self, change: vk.PodChange) -> None:
        """Collect the changes of the provider."""
        assert isinstance(change, vk.PodStatus)
        self.statuses[change.key.uid] = change
        news, self._news = self._news, asyncio.Event()
        news.set()

    def folder(self, pod: vk.Pod, kind: str = "pods") -> Path:
        """The pod's folder below the state folder."""
        return self.state / CLUSTER / NODE / kind / pod.key.uid

    def remains(self) -> list[Path]:
        """All folders of pods, of any kind."""
        return list((self.state / CLUSTER / NODE).glob("*/*"))

    def supervisor(self, pod: vk.Pod) -> int:
        """The id of the pod's supervisor: of the two processes in its folder the lower one."""
        found = [pid for pid in _processes() if _works_in(pid, self.folder(pod))]
        (lowest,) = [pid for pid in found if not set(children_of(pid)) & set(found)]
        return lowest


@asynccontextmanager
async def node(
    state: Path,
    *,
    objects: dict[str, vk.Pod] | None = None,
    images: Mapping[str, Image] | None = None,
    keep: bool = False,
    **settings: Any,
) -> AsyncIterator[Node]:
    """Run a provider; at the end its pods are killed, unless they are to be kept."""
    settings = {"isolation": "none", **settings}
    known = {} if objects is None else objects
    events: list[tuple[str, str, str, str | None]] = []
    config = ProcessConfig(state=str(state), images=images or {}, **settings)
    async with ProcessProvider(_context(config, known, events)) as provider:
        made = Node(provider, state, known, events)
        following = asyncio.ensure_future(_follow(made))
        try:
            yield made
        finally:
            if not keep:
                await _end_all(made)
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


async def _end_all(made: Node) -> None:
    for status in await made.provider.list_pods():
        raw = {"metadata": attrs.asdict(status.key), "spec": {}}
        await made.end(vk.Pod(raw))
    assert made.remains() == []


def _context(
    config: ProcessConfig,
    pods: dict[str, vk.Pod],
    events: list[tuple[str, str, str, str | None]],
) -> vk.ProviderContext:
    def emit(
        key: vk.PodKey, type: str, reason: str, message: str, *, id: str | None = None
    ) -> None:
        events.append((type, reason, message, id))

    async def nothing(*_: Any) -> None:
        return None

    return vk.ProviderContext(
        node_name=NODE,
        cluster_uid=CLUSTER,
        config=config,
        pods=pods,
        secret=nothing,
        config_map=nothing,
        annotate=nothing,
        check_lease=lambda: None,
        emit=emit,
        node_changed=lambda: None,
    )


async def _follow(made: Node) -> None:
    async for change in made.provider.watch_pods():
        made.hear(change)


@attrs.define(eq=False)
class Client:
    """An `ExecIO` in memory: what it types, what it hears, the sizes of its terminal."""

    typed: bytes | None = None
    tty: bool = False
    said: bytes = b""
    complained: bytes = b""
    heard: asyncio.Event = attrs.field(factory=asyncio.Event)
    resizes: asyncio.Queue[vk.TerminalSize] = attrs.field(factory=asyncio.Queue)
    keyboard: asyncio.Queue[bytes] = attrs.field(factory=asyncio.Queue)
    """What it types later; an empty piece ends it."""

    @property
    def stdin(self) -> Client | None:
        return self if self.typed is not None or self.tty else None

    @property
    def stdout(self) -> _Ear:
        return _Ear(self, "said")

    @property
    def stderr(self) -> _Ear | None:
        return None if self.tty else _Ear(self, "complained")

    async def read(self, limit: int = 65536) -> bytes:
        if self.typed is None:
            return await self.keyboard.get()
        piece, self.typed = self.typed[:limit], self.typed[limit:]
        return piece

    async def sizes(self) -> AsyncIterator[vk.TerminalSize]:
        while self.tty:
            yield await self.resizes.get()

    async def hears(self, text: bytes) -> None:
        """Wait until the output holds ``text``."""
        async with asyncio.timeout(LIMIT):
            while text not in self.said:
                self.heard.clear()
                await self.heard.wait()


@attrs.frozen
class _Ear:
    client: Client
    stream: str

    async def write(self, data: bytes) -> None:
        setattr(self.client, self.stream, getattr(self.client, self.stream) + data)
        self.client.heard.set()


def children_of(parent: int) -> list[int]:
    """The ids of a process's children."""
    return [pid for pid in _processes() if parent_of(pid) == parent]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def container(status: vk.PodStatus, name: str = "c") -> vk.ContainerStatus:
    """The status of one container, init containers too."""
    (found,) = [e for e in (*status.init_containers, *status.containers) if e.name == name]
    return found


def is_up(status: vk.PodStatus, name: str = "c") -> bool:
    """Whether the container runs."""
    return isinstance(container(status, name).state, vk.Running)


def ended(status: vk.PodStatus, name: str = "c") -> vk.Terminated | None:
    """How the container ended, None where it has not."""
    state = container(status, name).state
    return state if isinstance(state, vk.Terminated) else None
