"""The files of a volume, and registry credentials: values that the core resolved.

`vk.pods.resolve` makes them from config maps, secrets, the downward API and tokens. Providers read
them as `Pod.files` and `Pod.registry_credentials` and pass them to their backend. Contents and
passwords are in no repr.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["File", "FileTree", "RegistryCredential"]


@attrs.frozen(kw_only=True)
class File:
    """One file: its bytes, its permission bits, and its owner if the pod requires one."""

    content: bytes = attrs.field(repr=False, kw_only=False)
    mode: int = 0o644
    uid: int | None = None
    gid: int | None = None


FileTree = Mapping[str, File]
"""The files of one volume by path, relative to the volume, with ``/`` and never ``..``."""


@attrs.frozen
class RegistryCredential:
    """A login for one image registry; ``registry`` as in the secret, without its scheme."""

    registry: str
    username: str
    password: str = attrs.field(repr=False)
