"""vk turns anything able to run a pod into a Kubernetes node.

The public names are those of ``__init__.pyi``, each loaded on first use (PEP 562): importing vk
costs nothing and loads no controller and no network code.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    value = globals()[name] = _load(name)
    return value
