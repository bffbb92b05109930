"""The whole hook surface: one hook, called once, before anything is opened."""

from __future__ import annotations

from typing import Protocol

import pluggy

from vk.provider import Provider

__all__ = ["PROJECT", "Register", "hookimpl", "vk_register_providers"]

PROJECT = "vk"
"""The pluggy project and the entry-point group of plugins."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """Takes a provider's name and its class, or ``"module:Class"`` to import it when chosen."""

    def __call__(self, name: str, provider: type[Provider] | str) -> None: ...


@hookspec
def vk_register_providers(register: Register) -> None:
    """Register providers: ``register("name", "package.module:Class")``. Synchronous."""
