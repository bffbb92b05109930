"""Looking from inside a container at what a field of its pod has done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from vk.errors import UnsupportedError
from vk.models.pod import Json, Pod
from vk.testing.contract.base import Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.rule import Broken

__all__ = ["VALUE", "add", "look"]

VALUE = "$HOME `id` \"quoted\" 'twice' \\ ü"
"""What no shell, template or encoding on the way may change."""


def add(
    manifest: Json, *, container: Mapping[str, Any] | None = None, spec: Json | None = None
) -> dict[str, Any]:
    """Return the manifest with fields added to its only container and to its spec."""
    (only,) = manifest["spec"]["containers"]
    changed = {**only, **(container or {})}
    return {**manifest, "spec": {**manifest["spec"], **(spec or {}), "containers": [changed]}}


async def look(suite: Base, bench: Bench, pod: Pod, path: str) -> str:
    """Run the pod and return what it wrote, without the last newline.

    Skips where nothing can be seen of it. Raises Broken where a simulator claims to honour a field.
    """
    try:
        return (await suite.output(bench, pod)).removesuffix("\n")
    except NotImplementedError as error:
        if not isinstance(error, UnsupportedError):
            text = f"runs_scripts is False, and the FieldTable says that {path} is honoured"
            raise Broken(text) from error
        pytest.skip("this provider has no logs to see it in: `output` may be overridden")
