"""The environment of a pod's containers, from the API object to what a process gets.

In: the raw pod, the config maps and secrets it names (`references` lists them), the Services'
variables, the addresses as far as they are known. Out: a `Resolution`, and notices to write as
events. Called by the controller before a pod is created. Pure.

The surprising part: variables that need the pod's or the host's address stay *open* until it is
known, and so does each that is built from an open one with ``$(NAME)``. `Resolution.reopen`
resolves again with addresses, from the same objects.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from vk.errors import InvalidInputError, VkError
from vk.models.pod import DNS, Container, Json, Resolution
from vk.notation.expansion import expand, referenced_names
from vk.pods.downward import field_value, resource_value, waits_for_address
from vk.pods.service_links import api_server_links

__all__ = ["MissingReference", "Need", "Notice", "References", "references", "resolve"]

_EMPTY: Json = {}
_NAME = re.compile(r"(?!\.\.)(?!\.\Z)[-._a-zA-Z][-._a-zA-Z0-9]*")
_SOURCES = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
_KEY_SOURCES = {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}


class MissingReference(VkError):  # noqa: N818 # the name of the interface
    """A config map, a secret or a key in one that the pod requires is not there.

    ``kind`` is ConfigMap or Secret, ``key`` empty where the object itself is missing, ``reason``
    the event's.
    """

    def __init__(self, *, kind: str, name: str, key: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.name = name
        self.key = key
        self.reason = reason
        self.message = message


@attrs.frozen
class Need:
    """How badly a pod needs an object."""

    optional: bool

    @property
    def required(self) -> bool:
        """Whether the pod cannot start without it."""
        return not self.optional


@attrs.frozen
class References:
    """The config maps and secrets that a pod's environment names."""

    config_maps: Mapping[str, Need]
    secrets: Mapping[str, Need]


@attrs.frozen(kw_only=True)
class Notice:
    """An event to write about the pod."""

    type: str = "Warning"
    reason: str
    message: str


def references(raw: Json) -> References:
    """Return what the environment of ``raw`` needs; required anywhere means required."""
    found: dict[str, dict[str, Need]] = {"ConfigMap": {}, "Secret": {}}
    for kind, reference in _referenced(raw):
        name = reference.get("name") or ""
        earlier = found[kind].get(name)
        optional = bool(reference.get("optional")) and (earlier is None or earlier.optional)
        found[kind][name] = Need(optional)
    return References(found["ConfigMap"], found["Secret"])


def resolve(
    raw: Json,
    *,
    config_maps: Mapping[str, Json | None],
    secrets: Mapping[str, Json | None],
    links: Mapping[str, str],
    allocatable: Mapping[str, str],
    dns: DNS,
    host_ips: Sequence[str] = (),
    pod_ips: Sequence[str] = (),
    api_server: str = "",
) -> tuple[Resolution, list[Notice]]:
    """Resolve the containers and init containers of ``raw``.

    ``links`` is `service_links` of the pod's namespace; ``api_server`` (HOST:PORT) takes the place
    of the API server's address in it; ``allocatable`` is the node's. Raises MissingReference, and
    InvalidInputError for a reference that no cluster could fill.
    """
    resolver = _Resolver(
        raw=raw,
        objects={"ConfigMap": config_maps, "Secret": secrets},
        links=_links(raw, links, api_server),
        allocatable=allocatable,
        dns=dns,
    )
    return resolver.resolve(pod_ips, host_ips)


@attrs.frozen(kw_only=True)
class _Resolver:
    raw: Json
    objects: Mapping[str, Mapping[str, Json | None]]
    links: Mapping[str, str]
    allocatable: Mapping[str, str]
    dns: DNS

    def resolve(
        self, pod_ips: Sequence[str], host_ips: Sequence[str]
    ) -> tuple[Resolution, list[Notice]]:
        spec = self.raw.get("spec") or _EMPTY
        notices: list[Notice] = []

        def build(group: str) -> tuple[Container, ...]:
            return tuple(
                _Environment(self, container, pod_ips, host_ips, notices).build()
                for container in spec.get(group) or ()
            )

        init_containers = build("initContainers")
        resolution = Resolution(
            containers=build("containers"), init_containers=init_containers, dns=self.dns
        )
        if any(waits_for_address(path) for path in _field_paths(self.raw)):
            resolution = attrs.evolve(resolution, reopen=self._reopener(host_ips))
        return resolution, list(dict.fromkeys(notices))

    def _reopener(self, known_host_ips: Sequence[str]) -> Any:
        # The caller's maps may be live: keep the objects that this resolution saw.
        frozen = attrs.evolve(
            self, objects={kind: dict(objects) for kind, objects in self.objects.items()}
        )

        def reopen(pod_ips: Sequence[str], host_ips: Sequence[str]) -> Resolution:
            return frozen.resolve(pod_ips, host_ips or known_host_ips)[0]

        return reopen


@attrs.define
class _Environment:
    """One container's environment while it is built, in the order of precedence."""

    pod: _Resolver
    raw: Json
    pod_ips: Sequence[str]
    host_ips: Sequence[str]
    notices: list[Notice]
    env: dict[str, str] = attrs.field(init=False, factory=dict)
    open: dict[str, None] = attrs.field(init=False, factory=dict)

    def build(self) -> Container:
        self.env = dict(self.pod.links)
        for source in self.raw.get("envFrom") or ():
            self._add_all(source)
        for variable in self.raw.get("env") or ():
            self._add(variable)
        return Container(
            name=self.raw["name"],
            image=self.raw.get("image") or "",
            command=tuple(expand(word, self.env) for word in self.raw.get("command") or ()),
            args=tuple(expand(word, self.env) for word in self.raw.get("args") or ()),
            env=self.env,
            open_env=tuple(self.open),
            raw=self.raw,
        )

    def _add_all(self, source: Json) -> None:
        prefix = source.get("prefix") or ""
        for field, kind in _SOURCES.items():
            if not (reference := source.get(field)):
                continue
            values = self._data(kind, reference)
            named = {prefix + key: key for key in values or ()}
            invalid = sorted(name for name in named if not _NAME.fullmatch(name))
            if invalid:
                self._notify("InvalidEnvironmentVariableNames", _invalid(invalid, kind, reference))
            for name in named.keys() - set(invalid):
                self.env[name] = _value(kind, values or _EMPTY, named[name], reference)

    def _add(self, variable: Json) -> None:
        name, source = variable["name"], variable.get("valueFrom")
        text = variable.get("value") or ""
        if not text and source:
            self._add_from(name, source)
        elif any(used in self.open for used in referenced_names(text)):
            self._leave_open(name)
        else:
            self._set(name, expand(text, self.env))

    def _add_from(self, name: str, source: Json) -> None:
        for field, kind in _KEY_SOURCES.items():
            if reference := source.get(field):
                self._add_key(name, kind, reference)
                return
        if reference := source.get("fieldRef"):
            value = field_value(
                self.pod.raw, reference, pod_ips=self.pod_ips, host_ips=self.host_ips
            )
            if value is None:
                self._leave_open(name)
            else:
                self._set(name, value)
        elif reference := source.get("resourceFieldRef"):
            here, allocatable = self.raw["name"], self.pod.allocatable
            self._set(
                name,
                resource_value(self.pod.raw, reference, container=here, allocatable=allocatable),
            )
        else:
            kinds = ", ".join(sorted(source))
            self._notify(
                "UnsupportedEnvironmentSource", f"variable {name} left out: no support for {kinds}"
            )

    def _add_key(self, name: str, kind: str, reference: Json) -> None:
        values = self._data(kind, reference)
        key = reference.get("key") or ""
        if values is None:
            return
        if key in values:
            self._set(name, _value(kind, values, key, reference))
        else:
            self._miss(kind, reference, key)

    def _set(self, name: str, value: str) -> None:
        self.env[name] = value
        self.open.pop(name, None)

    def _leave_open(self, name: str) -> None:
        self.env.pop(name, None)
        self.open[name] = None

    def _data(self, kind: str, reference: Json) -> Json | None:
        """Return the object's data, None where it is missing and may be."""
        found = self.pod.objects[kind].get(reference.get("name") or "")
        if found is None:
            self._miss(kind, reference, "")
            return None
        return found.get("data") or _EMPTY

    def _miss(self, kind: str, reference: Json, key: str) -> None:
        name = reference.get("name") or ""
        optional = bool(reference.get("optional"))
        reason = f"{'Optional' if optional else 'Mandatory'}{kind}{'Key' if key else ''}NotFound"
        part = f"key {key!r} of " if key else ""
        message = f"{part}{kind} {name!r} not found"
        if not optional:
            raise MissingReference(kind=kind, name=name, key=key, reason=reason, message=message)
        self._notify(reason, message)

    def _notify(self, reason: str, message: str) -> None:
        self.notices.append(Notice(reason=reason, message=message))


def _containers(raw: Json) -> Iterator[Json]:
    spec = raw.get("spec") or _EMPTY
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()


def _sources(raw: Json) -> Iterator[Json]:
    for container in _containers(raw):
        for variable in container.get("env") or ():
            if source := variable.get("valueFrom"):
                yield source


def _field_paths(raw: Json) -> Iterator[str]:
    for source in _sources(raw):
        if reference := source.get("fieldRef"):
            yield reference.get("fieldPath") or ""


def _referenced(raw: Json) -> Iterator[tuple[str, Json]]:
    for container in _containers(raw):
        for source in container.get("envFrom") or ():
            yield from _present(source, _SOURCES)
    for source in _sources(raw):
        yield from _present(source, _KEY_SOURCES)


def _present(source: Json, kinds: Mapping[str, str]) -> Iterator[tuple[str, Json]]:
    for field, kind in kinds.items():
        if reference := source.get(field):
            yield kind, reference


def _links(raw: Json, links: Mapping[str, str], api_server: str) -> Mapping[str, str]:
    if (raw.get("spec") or _EMPTY).get("enableServiceLinks") is False:
        links = api_server_links(links)
    if not api_server:
        return links
    host, _, port = api_server.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return {**links, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


def _invalid(names: Sequence[str], kind: str, reference: Json) -> str:
    return (
        f"keys [{', '.join(names)}] of {kind} {reference.get('name')!r} left out: "
        "not valid as names of environment variables"
    )


def _value(kind: str, values: Json, key: str, reference: Json) -> str:
    if kind != "Secret":
        return str(values[key])
    try:
        return b64decode(values[key] or "").decode(errors="replace")
    except ValueError:
        # Without the cause: no part of a secret may reach a traceback.
        raise InvalidInputError(
            f"key {key!r} of Secret {reference.get('name')!r} is not base64"
        ) from None
