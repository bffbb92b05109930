"""Where the files of a pod's volumes come from: config maps, secrets, the pod itself, tokens.

In: the raw pod and the backend's FieldTable. Out: the sources of each volume that the backend
takes, each with its place in the pod; from them, who fetches reads what to fetch, and
`vk.pods.resolve.volumes` makes files. What the backend does not honour is left out. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

import attrs

from vk.errors import InvalidInputError
from vk.fields import FieldTable
from vk.models.pod import Json

__all__ = ["FileSource", "TokenNeed", "VolumeSources", "file_sources", "names", "tokens"]

Kind = Literal["configMap", "secret", "downwardAPI", "serviceAccountToken"]
VolumeSources = Mapping[str, "tuple[FileSource, ...]"]
"""The sources of each volume, by the volume's name; later ones win over earlier ones."""

_KINDS: tuple[Kind, ...] = ("configMap", "secret", "downwardAPI", "serviceAccountToken")
_ALONE: tuple[Kind, ...] = ("configMap", "secret", "downwardAPI")
_VOLUME = "spec.volumes[]"
_MODE = 0o644
_EXPIRATION = 3600
_EMPTY: Json = {}


@attrs.frozen
class TokenNeed:
    """What a service-account token is for; ``audience`` empty: the API server's own."""

    audience: str
    expiration: int
    """Seconds that are asked for; the API server may give more or fewer."""


@attrs.frozen(kw_only=True)
class FileSource:
    """One source: ``raw`` is what stands at ``place`` in the pod, ``mode`` its files' default."""

    volume: str
    place: str
    kind: Kind
    raw: Json
    mode: int

    @property
    def name(self) -> str:
        """The name of the config map or secret."""
        return self.raw.get("secretName") or self.raw.get("name") or ""

    @property
    def optional(self) -> bool:
        """Whether the object, or a key of it, may be missing."""
        return bool(self.raw.get("optional"))

    @property
    def token(self) -> TokenNeed:
        """What token a serviceAccountToken asks for."""
        seconds = self.raw.get("expirationSeconds")
        return TokenNeed(
            self.raw.get("audience") or "", _EXPIRATION if seconds is None else int(seconds)
        )


def file_sources(raw: Json, fields: FieldTable) -> dict[str, tuple[FileSource, ...]]:
    """Return the sources of each volume of files that the backend honours, in the pod's order.

    Raises InvalidInputError for a source in a projected volume that nobody here can resolve.
    """
    found: dict[str, tuple[FileSource, ...]] = {}
    for index, volume in enumerate((raw.get("spec") or _EMPTY).get("volumes") or ()):
        place = f"spec.volumes[{index}]"
        projected = volume.get("projected")
        if projected is not None and fields.honours(f"{_VOLUME}.projected"):
            found[volume["name"]] = tuple(_projected(volume["name"], place, projected, fields))
            continue
        for kind in _ALONE:
            source = volume.get(kind)
            if source is not None and fields.honours(f"{_VOLUME}.{kind}"):
                one = FileSource(
                    volume=volume["name"],
                    place=f"{place}.{kind}",
                    kind=kind,
                    raw=source,
                    mode=_mode(source),
                )
                found[volume["name"]] = (one,)
    return found


def names(sources: VolumeSources, kind: Kind) -> list[str]:
    """Return the names of all objects of a kind that the sources refer to, each once."""
    return list(dict.fromkeys(one.name for one in _all(sources) if one.kind == kind))


def tokens(sources: VolumeSources) -> list[TokenNeed]:
    """Return the tokens that the sources ask for, each once."""
    return list(
        dict.fromkeys(one.token for one in _all(sources) if one.kind == "serviceAccountToken")
    )


def _all(sources: VolumeSources) -> Iterable[FileSource]:
    return (one for several in sources.values() for one in several)


def _projected(
    volume: str, place: str, projected: Json, fields: FieldTable
) -> Iterator[FileSource]:
    for index, source in enumerate(projected.get("sources") or ()):
        for field, raw in source.items():
            where = f"{place}.projected.sources[{index}].{field}"
            if raw is None or not fields.honours(f"{_VOLUME}.projected.sources[].{field}"):
                continue
            kind = next((each for each in _KINDS if each == field), None)
            if kind is None:
                expected = f"expected one of {', '.join(_KINDS)}"
                raise InvalidInputError(f"{where}: {expected}", reason="UnsupportedField")
            yield FileSource(volume=volume, place=where, kind=kind, raw=raw, mode=_mode(projected))


def _mode(source: Json) -> int:
    mode = source.get("defaultMode")
    return _MODE if mode is None else int(mode)
