"""What authors of providers test with: `ProviderContract`, and the fixtures of `vk.testing.plugin`.

The names are loaded on first use (PEP 562): pytest imports this package in every project that has
vk installed.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vk.testing.contract import ProviderContract as ProviderContract

__all__ = ["ProviderContract"]

_HOME_OF = {"ProviderContract": "vk.testing.contract"}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'vk.testing' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value
