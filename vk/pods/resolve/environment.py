"""The environment of a pod's containers, from the API object to what a process gets.

In: the raw pod, the config maps and secrets that it names (`needs` lists them), the Services'
variables, the addresses as far as they are known. Out: a `Resolution`, and notices to write as
events. Called before a pod is created and before it is updated. Pure.

Variables that need the pod's or the host's address stay *open* until it is known, and so does each
that is built from an open one with ``$(NAME)``. `Resolution.reopen` resolves again with addresses,
from the same objects.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import attrs

from vk.errors import InvalidInputError
from vk.models.api_object import EMPTY, containers_of, spec_of
from vk.models.pod import DNS, Container, Json, Resolution
from vk.notation.expansion import expand_variables, referenced_names
from vk.pods.errors import MissingReference, Notice
from vk.pods.resolve.downward import field_value, pod_allocatable, resource_value, waits_for_address
from vk.pods.resolve.services import pod_links

__all__ = ["Need", "Needs", "needs", "resolve"]

_KINDS = {
    "configMapRef": "ConfigMap",
    "configMapKeyRef": "ConfigMap",
    "secretRef": "Secret",
    "secretKeyRef": "Secret",
}


@attrs.frozen
class Need:
    """Whether a pod can start without an object."""

    optional: bool

    @property
    def required(self) -> bool:
        """Whether the pod cannot start without it."""
        return not self.optional


@attrs.frozen
class Needs:
    """The config maps and secrets that a pod's environment names."""

    config_maps: Mapping[str, Need]
    secrets: Mapping[str, Need]


def needs(raw: Json) -> Needs:
    """Return what the environment of ``raw`` needs; required anywhere means required."""
    found: dict[str, dict[str, Need]] = {"ConfigMap": {}, "Secret": {}}
    for source in chain(_entries(raw, "envFrom"), _sources(raw)):
        for kind, reference in _objects(source):
            name = reference.get("name") or ""
            earlier = found[kind].get(name)
            optional = bool(reference.get("optional")) and (earlier is None or earlier.optional)
            found[kind][name] = Need(optional)
    return Needs(found["ConfigMap"], found["Secret"])


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
    running: bool = False,
) -> tuple[Resolution, list[Notice]]:
    """Resolve the containers of ``raw``, init and ephemeral ones too.

    ``links`` is `service_links` of the pod's namespace; ``api_server`` (HOST:PORT) takes the place
    of the API server's address in it; ``allocatable`` is the node's. Raises MissingReference, and
    InvalidInputError for a reference that no cluster could fill. Variables of a pod that is
    ``running`` are left out where what they need is gone.
    """
    resolver = _Resolver(
        raw=raw,
        objects={"ConfigMap": config_maps, "Secret": secrets},
        links=pod_links(raw, links, api_server),
        allocatable=allocatable,
        dns=dns,
        running=running,
    )
    return resolver.resolve(pod_ips, host_ips)


@attrs.frozen(kw_only=True)
class _Resolver:
    raw: Json
    objects: Mapping[str, Mapping[str, Json | None]]
    links: Mapping[str, str]
    allocatable: Mapping[str, str]
    dns: DNS
    running: bool

    def resolve(
        self, pod_ips: Sequence[str], host_ips: Sequence[str]
    ) -> tuple[Resolution, list[Notice]]:
        spec = spec_of(self.raw)
        notices: list[Notice] = []

        def build(group: str) -> tuple[Container, ...]:
            return tuple(
                _Environment(self, container, pod_ips, host_ips, notices).build()
                for container in spec.get(group) or ()
            )

        init_containers = build("initContainers")  # first, for the order of the notices
        resolution = Resolution(
            containers=build("containers"),
            init_containers=init_containers,
            ephemeral_containers=build("ephemeralContainers"),
            dns=self.dns,
        )
        if any(waits_for_address(source) for source in _sources(self.raw)):
            resolution = attrs.evolve(resolution, reopen=self._reopener(host_ips))
        return resolution, list(dict.fromkeys(notices))

    def _reopener(self, known_host_ips: Sequence[str]) -> Any:
        # The caller's maps may be live: keep the objects that this resolution saw.
        frozen = attrs.evolve(
            self,
            objects={kind: dict(objects) for kind, objects in self.objects.items()},
            links=dict(self.links),
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
            command=self._expanded("command"),
            args=self._expanded("args"),
            env=self.env,
            open_env=tuple(self.open),
            service_env=frozenset(self._unchanged_links()),
            raw=self.raw,
        )

    def _unchanged_links(self) -> Iterator[str]:
        """Yield the variables of Services other than the API server's."""
        own = {variable["name"] for variable in self.raw.get("env") or ()}
        for name, text in self.pod.links.items():
            link = not name.startswith("KUBERNETES_") and name not in own
            if link and self.env.get(name) is text:
                yield name

    def _expanded(self, field: str) -> tuple[str, ...]:
        return tuple(expand_variables(text, self.env) for text in self.raw.get(field) or ())

    def _add_all(self, source: Json) -> None:
        prefix = source.get("prefix") or ""
        for kind, reference in _objects(source):
            values = self._data(kind, reference, "envFrom") or EMPTY
            for key in values:
                self.env[prefix + key] = _value(kind, values, key, reference)

    def _add(self, variable: Json) -> None:
        name, source = variable["name"], variable.get("valueFrom")
        text = variable.get("value") or ""
        if not text and source:
            self._add_from(name, source)
        elif any(used in self.open for used in referenced_names(text)):
            self._set(name, None)
        else:
            self._set(name, expand_variables(text, self.env))

    def _add_from(self, name: str, source: Json) -> None:
        for kind, reference in _objects(source):
            self._add_key(name, kind, reference)
            return
        if field := source.get("fieldRef"):
            ips, hosts = self.pod_ips, self.host_ips
            self._set(name, field_value(self.pod.raw, field, pod_ips=ips, host_ips=hosts))
        elif resource := source.get("resourceFieldRef"):
            here, room = self.raw["name"], pod_allocatable(self.pod.raw, self.pod.allocatable)
            value = resource_value(self.pod.raw, resource, container=here, allocatable=room)
            self._set(name, value)
        else:
            message = f"variable {name} left out: no support for {', '.join(sorted(source))}"
            self._notify("UnsupportedEnvironmentSource", message)

    def _add_key(self, name: str, kind: str, reference: Json) -> None:
        where = f"variable {name!r}"
        values = self._data(kind, reference, where)
        key = reference.get("key") or ""
        if values is not None and key not in values:
            self._miss(kind, reference, where, key)
        elif values is not None:
            self._set(name, _value(kind, values, key, reference))

    def _set(self, name: str, value: str | None) -> None:
        """Set the variable's value; None leaves it open."""
        if value is None:
            self.env.pop(name, None)
            self.open[name] = None
        else:
            self.env[name] = value
            self.open.pop(name, None)

    def _data(self, kind: str, reference: Json, where: str) -> Json | None:
        """Return the object's data, None where it is missing and keeps no container back."""
        found = self.pod.objects[kind].get(reference.get("name") or "")
        if found is None:
            self._miss(kind, reference, where)
            return None
        return found.get("data") or EMPTY

    def _miss(self, kind: str, reference: Json, where: str, key: str = "") -> None:
        """Report that the object, or ``key`` of it, is missing; ``where`` in the container."""
        name = reference.get("name") or ""
        optional = bool(reference.get("optional"))
        reason = f"{'Optional' if optional else 'Mandatory'}{kind}{'Key' if key else ''}NotFound"
        part = f"key {key!r} of " if key else ""
        message = f"{part}{kind} {name!r} not found"
        if optional:  # without the place: one event, however many variables miss it
            self._notify(reason, message)
        elif not self.pod.running:
            wanted = reference.get("key") if not key else ""
            message = f"container {self.raw['name']!r}, {where}: {message}"
            message += f" (wanted: key {wanted!r})" if wanted else ""
            raise MissingReference(kind=kind, name=name, key=key, reason=reason, message=message)

    def _notify(self, reason: str, message: str) -> None:
        self.notices.append(Notice(reason=reason, message=message))


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


def _sources(raw: Json) -> Iterator[Json]:
    """Yield the ``valueFrom`` of every variable of all containers."""
    return (entry["valueFrom"] for entry in _entries(raw, "env") if entry.get("valueFrom"))


def _objects(source: Json) -> Iterator[tuple[str, Json]]:
    """Yield kind and reference of the objects that an envFrom or a valueFrom names."""
    for field, kind in _KINDS.items():
        if reference := source.get(field):
            yield kind, reference


def _entries(raw: Json, field: str) -> Iterator[Json]:
    """Yield the entries of ``env`` or ``envFrom`` of all containers."""
    for container in containers_of(raw, ephemeral=True):
        yield from container.get(field) or ()
