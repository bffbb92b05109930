"""Distributions with a plugin, written to a folder that a test puts on the path."""

from __future__ import annotations

from pathlib import Path

PROVIDER = """
from collections.abc import AsyncIterator
import attrs
from vk import NodeInfo, Provider, hookimpl


@attrs.frozen
class Config:
    region: str = attrs.field(default="nowhere", metadata={"env": "FAKE_REGION"})
    workers: int = 4


class Fake(Provider):
    config_class = Config

    async def describe_node(self): return NodeInfo(capacity={"cpu": "1"})
    async def create_pod(self, pod): return None
    async def delete_pod(self, key, *, grace_period): return None
    async def list_pods(self): return []


class Partial(Provider):
    async def describe_node(self): return NodeInfo(capacity={})


class Wrong(Fake):
    def ping(self): return None
    async def watch_pods(self): return None
    async def logs(self, container, options): return None
"""


def write(
    folder: Path,
    distribution: str,
    *,
    providers: dict[str, str] | None = None,
    code: str | None = None,
    plugin: str = "",
) -> None:
    """Write a distribution whose plugin registers ``providers``, or is ``code`` verbatim."""
    module = distribution.replace("-", "_")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vk]\n{plugin or module} = {module}\n")
    calls = "".join(f"    register({n!r}, {t!r})\n" for n, t in (providers or {}).items())
    hook = f"\n\n@hookimpl\ndef vk_register_providers(register):\n{calls or '    pass'}\n"
    (folder / f"{module}.py").write_text(PROVIDER + hook if code is None else code)
