"""The configuration of a running node: read again on SIGHUP, and when one of its files changes.

In: how to read the settings anew, and the files that they come from. Out: the node goes on with
those of `vk.settings.LIVE`; of all others that changed the log says that they need a restart. A
configuration that cannot be used changes nothing.

Files are polled every few seconds instead of being watched: a mounted ConfigMap is swapped through
symbolic links, on file systems that send no notification.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from vk import logs
from vk.cli.options import OPTIONS
from vk.errors import ConfigError
from vk.settings import LIVE, Settings

__all__ = ["HasSettings", "Reload"]

log = logging.getLogger(__name__)

_EVERY = 5.0
_FLAGS = {option.field: option.flag or option.variable for option in OPTIONS}


class HasSettings(Protocol):
    """What takes other settings while it runs: `vk.kubelet.VirtualKubelet`."""

    def update_settings(self, settings: Settings) -> None:
        """Go on with these, which differ in `LIVE` at most."""


@attrs.define(eq=False)
class Reload:
    """Keeps one node's settings up to date. Runs in the main thread, which alone gets signals."""

    settings: Settings
    """What the node runs with."""
    read: Callable[[], Settings]
    """Reads them again; raises ConfigError."""
    file: Path | None
    """The file of ``--config``."""
    _hangup: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)

    async def run(self, node: HasSettings) -> None:
        """Follow signals and files until cancelled."""
        loop = asyncio.get_running_loop()
        if not sys.stderr.isatty():  # there it says that the terminal is closed, and ends us
            loop.add_signal_handler(signal.SIGHUP, self._hangup.set)
        seen = self._stamps()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_EVERY):
                        await self._hangup.wait()
                before, seen = seen, self._stamps()
                if seen[1] != before[1]:
                    self._warn_fixed(["provider-config"])
                if self._hangup.is_set() or seen[0] != before[0]:
                    self._hangup.clear()
                    self.take(node)
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def take(self, node: HasSettings) -> None:
        """Read the settings and give the node those that may change while it runs."""
        try:
            found = self.read()
        except ConfigError as error:
            log.error("configuration reload failed", extra={"error": str(error)})
            return
        changed = _differences(self.settings, found)
        self._warn_fixed([_FLAGS.get(name, name) for name in changed if name not in LIVE])
        live = {name: getattr(found, name) for name in changed if name in LIVE}
        self.settings = attrs.evolve(self.settings, **live)
        for name, value in live.items():  # logged first: the new level may hide it
            extra = {"key": _FLAGS.get(name, "taint"), "value": _shown(value)}
            log.warning("setting changed", extra=extra)
        if "log_level" in live:
            logs.configure(found.log_level, sys.stderr)
        if live:
            node.update_settings(self.settings)

    def _warn_fixed(self, flags: Sequence[str]) -> None:
        for flag in flags:
            log.warning("setting changed: restart to use it", extra={"key": flag})

    def _stamps(self) -> tuple[object, object]:
        """Return what differs once a file has changed: of ``--config``, of the provider's."""
        return _stamp(self.file), _stamp(self.settings.provider_config)


def _differences(one: Settings, other: Settings) -> list[str]:
    names = [field.name for field in attrs.fields(Settings)]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def _shown(value: object) -> str:
    if isinstance(value, tuple):  # of taints
        return ", ".join(f"{one.key}={one.value}:{one.effect}" for one in value) or "none"
    return str(value)


def _stamp(path: Path | None) -> object:
    try:
        found = path.stat() if path is not None else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)
