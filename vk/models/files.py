"""What a volume of files holds, and what a registry asks for: values that the core resolved.

`vk.pods` makes them of config maps, secrets, the downward API and tokens; providers read them as
`Pod.files` and `Pod.registry_credentials` and hand them to their backend. Contents and passwords
are in no repr.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

__all__ = ["File", "FileTree", "RegistryCredential"]


@attrs.frozen(kw_only=True)
class File:
    """One file: its bytes, the permission bits, and the owner where the pod asks for one."""

    content: bytes = attrs.field(repr=False, kw_only=False)
    mode: int = 0o644
    uid: int | None = None
    gid: int | None = None


FileTree = Mapping[str, File]
"""The files of one volume by path, relative to the volume, with ``/`` and never ``..``."""


@attrs.frozen
class RegistryCredential:
    """How to log in to one image registry; ``registry`` as the secret writes it, without scheme."""

    registry: str
    username: str
    password: str = attrs.field(repr=False)
