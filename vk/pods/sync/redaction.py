"""The text of an unexpected error as people may see it: without the secrets of the pod. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from vk.models.api_object import containers_of
from vk.models.pod import Pod

__all__ = ["error_text"]

LONGEST = 256
"""Characters of an error's text in events and conditions."""
_LINE = 8
"""Characters from which on a line of a secret file counts as a secret of its own."""
_SECRET_SOURCES = ("secret", "projected")


def error_text(error: BaseException, pod: Pod | None, config: object) -> str:
    """Return the error's type and text, at most 256 characters, with each secret replaced.

    Secrets are what ``pod`` got from Secrets and tokens, its registry passwords, and the fields of
    ``config`` that are left out of its representation.
    """
    text = " ".join(str(error).split())
    for secret in sorted({*_of_config(config), *_of_pod(pod)}, key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    kind = type(error).__name__
    return (f"{kind}: {text}" if text else kind)[:LONGEST]


def _of_config(config: Any) -> Iterator[str]:
    if attrs.has(type(config)):
        for field in attrs.fields(type(config)):
            value = getattr(config, field.name, None)
            if not field.repr and isinstance(value, str) and value:
                yield value


def _of_pod(pod: Pod | None) -> Iterator[str]:
    if pod is None:
        return
    resolved = {one.name: one.env for one in (*pod.init_containers, *pod.containers)}
    for raw in containers_of(pod.raw):
        env = resolved.get(raw["name"], {})
        yield from _shown(env.get(name, "") for name in _secret_names(raw, env))
    for volume in pod.spec.get("volumes") or ():
        if any(source in volume for source in _SECRET_SOURCES):
            for file in pod.files.get(volume["name"], {}).values():
                content = file.content.decode(errors="replace")
                yield from _shown([content])
                yield from _shown(line for line in content.splitlines() if len(line) >= _LINE)
    yield from _shown(one.password for one in pod.registry_credentials)


def _secret_names(raw: Any, env: Any) -> Iterator[str]:
    named = {one["name"]: one for one in raw.get("env") or ()}
    for name, one in named.items():
        if "secretKeyRef" in (one.get("valueFrom") or {}):
            yield name
    if any("secretRef" in one for one in raw.get("envFrom") or ()):
        yield from (name for name in env if name not in named)


def _shown(values: Iterable[str]) -> Iterator[str]:
    """Yield the values as they may stand in a text whose white space was folded."""
    for value in values:
        if folded := " ".join(value.split()):
            yield folded
