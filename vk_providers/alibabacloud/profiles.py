"""Selects the profile of a pod; reads and reloads the file of profiles. See `config.Profile`."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.config import Profile

__all__ = ["ProfileFile", "profile_for"]

log = logging.getLogger(__name__)


def profile_for(pod: vk.Pod, profiles: Sequence[Profile]) -> Profile:
    """Return the first profile that matches ``pod``; an empty one where none does."""
    for profile in profiles:
        if profile.namespaces and pod.key.namespace not in profile.namespaces:
            continue
        if not profile.selector or vk.parse_label_selector(profile.selector).matches(pod.labels):
            return profile
    return Profile()


@attrs.define(eq=False)
class ProfileFile:
    """A file with ``profiles``, reloaded when it changes; an invalid one keeps the last valid."""

    path: str
    _seen: tuple[int, int] = attrs.field(default=(0, 0), init=False)
    _profiles: tuple[Profile, ...] = attrs.field(default=(), init=False)

    def read(self) -> tuple[Profile, ...]:
        """Return the current profiles. Raises ConfigError if the file was never valid."""
        if not self.path:
            return ()
        try:
            found = Path(self.path).stat()
            state = (found.st_mtime_ns, found.st_size)
            if state != self._seen:
                self._profiles = _parse(Path(self.path).read_text())
                self._seen = state
        except (OSError, ValueError, TypeError, AttributeError) as error:
            text = f"profiles_file: {self.path}: {_error_text(error)}"
            if self._seen == (0, 0):
                raise vk.ConfigError(text) from None
            log.warning("profiles reload failed", extra={"error": text})
        return self._profiles


def _parse(text: str) -> tuple[Profile, ...]:
    import yaml

    try:
        content: Any = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        raise ValueError("expected YAML or JSON") from None
    known = {field.name for field in attrs.fields(Profile)}
    if content and not (isinstance(content, dict) and "profiles" in content):
        raise ValueError("expected a list under the key profiles")
    profiles = []
    for entry in content["profiles"] if content else ():
        if unknown := set(entry) - known:
            raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
        profiles.append(Profile(**entry))
    return tuple(profiles)


def _error_text(error: Exception) -> str:
    return (error.strerror or "") if isinstance(error, OSError) else str(error)
