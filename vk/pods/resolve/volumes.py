"""The files of a pod's volumes, as the kubelet would place them.

`file_sources` gives, from the raw pod and the provider's FieldTable, the sources of each volume:
config maps, secrets, the pod itself, tokens, each with its field's path. The caller reads the
objects that they name, and `resolve_files` makes a `FileTree` for each volume. Fields that the
provider does not honour are left out. Pure. Called before a pod is created, and again whenever
something that it refers to may have changed.

A pod's fsGroup is the group of every file and adds its rights to the mode, as the kubelet's
ownership pass over a read-only volume does.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Literal

import attrs

from vk.errors import InvalidInputError
from vk.fields import FieldTable
from vk.models.api_object import EMPTY, containers_of, spec_of, volumes_of
from vk.models.files import File, FileTree
from vk.models.pod import Json
from vk.notation.file_path import clean_file_path
from vk.pods.errors import MissingReference
from vk.pods.resolve.downward import field_value, resource_value

__all__ = [
    "FileSource",
    "TokenNeed",
    "VolumeSources",
    "file_sources",
    "object_names",
    "resolve_files",
    "token_needs",
]

Kind = Literal["configMap", "secret", "downwardAPI", "serviceAccountToken"]
VolumeSources = Mapping[str, "tuple[FileSource, ...]"]
"""The sources of each volume, by the volume's name; later ones win over earlier ones."""

_KINDS: tuple[Kind, ...] = ("configMap", "secret", "downwardAPI", "serviceAccountToken")
_ALONE: tuple[Kind, ...] = ("configMap", "secret", "downwardAPI")
_VOLUME = "spec.volumes[]"
_MODE = 0o644
_EXPIRATION = 3600

_GROUP_READS = 0o440
_TOKEN_MODE = 0o600
_OBJECT_KINDS = {"configMap": "ConfigMap", "secret": "Secret"}
_Found = tuple[str, bytes, int, str]
"""Path, content, mode, and the field that asks for the path; empty: a key is the path."""


@attrs.frozen
class TokenNeed:
    """A service-account token that a volume needs; ``audience`` empty: the API server's own."""

    audience: str
    expiration: int
    """The requested lifetime in seconds; the API server may grant more or less."""


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
        """The token that a serviceAccountToken source needs."""
        seconds = self.raw.get("expirationSeconds")
        return TokenNeed(
            self.raw.get("audience") or "", _EXPIRATION if seconds is None else int(seconds)
        )


def file_sources(raw: Json, fields: FieldTable) -> dict[str, tuple[FileSource, ...]]:
    """Return the sources of each volume of files that the backend honours, in the pod's order.

    Raises InvalidInputError for a source in a projected volume that cannot be resolved.
    """
    found: dict[str, tuple[FileSource, ...]] = {}
    for index, volume in enumerate(volumes_of(raw)):
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


def object_names(sources: VolumeSources, kind: Kind) -> list[str]:
    """Return the names of all objects of a kind that the sources refer to, each once."""
    return list(dict.fromkeys(one.name for one in _all(sources) if one.kind == kind))


def token_needs(sources: VolumeSources) -> list[TokenNeed]:
    """Return the tokens that the sources ask for, each once."""
    return list(
        dict.fromkeys(one.token for one in _all(sources) if one.kind == "serviceAccountToken")
    )


def resolve_files(
    raw: Json,
    sources: VolumeSources,
    *,
    config_maps: Mapping[str, Json | None],
    secrets: Mapping[str, Json | None],
    tokens: Mapping[TokenNeed, str],
    allocatable: Mapping[str, str],
    limit: int | None = None,
) -> dict[str, FileTree]:
    """Return the files of every volume in ``sources``.

    ``limit`` is the most bytes that one file may have. Raises MissingReference for a required
    object or key that is not there, and InvalidInputError, whose text begins with the field's
    path, for a path that leaves the volume, that two files have, or for a file over the limit.
    """
    resolver = _Files(
        raw=raw,
        objects={"configMap": config_maps, "secret": secrets},
        tokens=tokens,
        allocatable=allocatable,
        limit=limit,
    )
    return {volume: resolver.tree(several) for volume, several in sources.items()}


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


@attrs.frozen(kw_only=True)
class _Files:
    raw: Json
    objects: Mapping[str, Mapping[str, Json | None]]
    tokens: Mapping[TokenNeed, str]
    allocatable: Mapping[str, str]
    limit: int | None

    def tree(self, sources: tuple[FileSource, ...]) -> FileTree:
        files: dict[str, File] = {}
        asked: dict[str, str] = {}
        for source in sources:
            for path, content, mode, field in self._found(source):
                place = field or source.place
                clean = _checked(path, place)
                if field and asked.setdefault(clean, field) != field:
                    raise _invalid(field, f"the path {clean!r} is that of {asked[clean]} too")
                if self.limit is not None and len(content) > self.limit:
                    size = f"{len(content)} bytes, and this node takes {self.limit} at most"
                    raise _invalid(place, f"the file {clean!r} has {size}")
                files[clean] = self._owned(source, content, mode)
        _check_folders(files, asked, sources)
        return files

    def _found(self, source: FileSource) -> Iterator[_Found]:
        match source.kind:
            case "downwardAPI":
                yield from self._downward(source)
            case "serviceAccountToken":
                path, field = str(source.raw.get("path") or ""), f"{source.place}.path"
                mode = source.mode if self._user is None and self._group is None else _TOKEN_MODE
                yield path, self.tokens[source.token].encode(), mode, field
            case _:
                yield from self._keys(source)

    def _keys(self, source: FileSource) -> Iterator[_Found]:
        found = self.objects[source.kind].get(source.name)
        if found is None:
            if not source.optional:
                raise _missing(source, "")
            return
        items = source.raw.get("items")
        if not items:
            for key in {**(found.get("data") or {}), **(found.get("binaryData") or {})}:
                yield key, _content(source, found, key), source.mode, ""
        for index, item in enumerate(items or ()):
            key = item.get("key") or ""
            if not _has(found, key):
                if source.optional:
                    continue
                raise _missing(source, key)
            field = f"{source.place}.items[{index}].path"
            content = _content(source, found, key)
            yield item.get("path") or "", content, _item_mode(item, source), field

    def _downward(self, source: FileSource) -> Iterator[_Found]:
        for index, item in enumerate(source.raw.get("items") or ()):
            field = f"{source.place}.items[{index}]"
            try:
                text = self._text(item)
            except InvalidInputError as error:
                raise _invalid(field, str(error)) from None
            mode = _item_mode(item, source)
            yield item.get("path") or "", text.encode(), mode, f"{field}.path"

    def _text(self, item: Json) -> str:
        if reference := item.get("fieldRef"):
            return field_value(self.raw, reference) or ""
        reference = item.get("resourceFieldRef") or EMPTY
        return resource_value(self.raw, reference, container="", allocatable=self.allocatable)

    def _owned(self, source: FileSource, content: bytes, mode: int) -> File:
        group = self._group
        if group is not None:
            mode |= _GROUP_READS
        user = self._user if source.kind == "serviceAccountToken" else None
        return File(content, mode=mode, uid=user, gid=group)

    @property
    def _group(self) -> int | None:
        group = _security(spec_of(self.raw)).get("fsGroup")
        return None if group is None else int(group)

    @property
    def _user(self) -> int | None:
        """The user that all containers run as; None: they differ, or the pod does not say."""
        whole = _security(spec_of(self.raw)).get("runAsUser")
        users = {
            _security(container).get("runAsUser", whole) for container in containers_of(self.raw)
        }
        user = users.pop() if len(users) == 1 else None
        return None if user is None else int(user)


def _checked(path: str, place: str) -> str:
    try:
        return clean_file_path(path)
    except ValueError as error:
        raise _invalid(place, str(error)) from None


def _check_folders(
    files: Mapping[str, File], asked: Mapping[str, str], sources: tuple[FileSource, ...]
) -> None:
    """Refuse a file at a place where another file needs a folder."""
    for path in files:
        for parent in map(str, PurePosixPath(path).parents):
            if parent in files:
                place = asked.get(path) or sources[0].place
                raise _invalid(place, f"the path {path!r} needs a folder at the file {parent!r}")


def _invalid(place: str, text: str) -> InvalidInputError:
    return InvalidInputError(f"{place}: {text}", reason="InvalidVolume")


def _missing(source: FileSource, key: str) -> MissingReference:
    kind = _OBJECT_KINDS[source.kind]
    part = f"key {key!r} of " if key else ""
    wanted = ", ".join(repr(item.get("key")) for item in source.raw.get("items") or ())
    more = f" (wanted: keys {wanted})" if wanted and not key else ""
    return MissingReference(
        kind=kind,
        name=source.name,
        key=key,
        volume=source.volume,
        reason="FailedMount",
        message=f"volume {source.volume!r}: {part}{kind} {source.name!r} not found{more}",
    )


def _has(found: Json, key: str) -> bool:
    return key in (found.get("data") or EMPTY) or key in (found.get("binaryData") or EMPTY)


def _content(source: FileSource, found: Json, key: str) -> bytes:
    """Return what stands under ``key``: the text of a config map, else what base64 decodes to."""
    texts = found.get("data") or EMPTY
    if source.kind == "configMap" and key in texts:
        return str(texts[key] or "").encode(errors="surrogatepass")
    encoded = texts[key] if key in texts else (found.get("binaryData") or EMPTY)[key]
    try:
        return b64decode(encoded or "")
    except ValueError:
        # Without the cause: no part of a secret may reach a traceback.
        what = f"key {key!r} of {_OBJECT_KINDS[source.kind]} {source.name!r}"
        raise _invalid(source.place, f"{what} is not base64") from None


def _item_mode(item: Json, source: FileSource) -> int:
    mode = item.get("mode")
    return source.mode if mode is None else int(mode)


def _security(owner: Json) -> Json:
    return owner.get("securityContext") or EMPTY
