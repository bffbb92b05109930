"""FieldTable: which fields of a PodSpec a backend honours, changes, ignores and refuses, and why.

One table a provider drives admission, ``vk lint`` and the documentation. In: a PodSpec. Out: the
fields in it that are not honoured as they stand. Pure.

Paths are written ``spec.volumes[].hostPath``, ``[]`` for every element of a list; ``path=value``
names one value only. The most specific rule wins: a longer path over a shorter one, a value over
its path. Rules for ``spec.containers[]`` hold for init and ephemeral containers too, unless these
have a rule for the same path or are ignored or refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal

import attrs

from vk.models.tuples import as_tuple

__all__ = ["NOT_THE_BACKENDS", "FieldTable", "Finding", "Verdict", "in_words"]

Verdict = Literal["honoured", "changed", "ignored", "refused"]
_Rule = tuple[Verdict, str]

_CONTAINERS = "spec.containers[]"
_TWINS = ("spec.initContainers", "spec.ephemeralContainers")
_VOLUME = "spec.volumes[]"
_UNLISTED = "this backend does not support the field"
_MOST_PLACES = 3

_SCHEDULER = "the scheduler"
_NAME = "a name"

NOT_THE_BACKENDS: Mapping[str, str] = {
    "spec.activeDeadlineSeconds": "vk ends the pod when its time is up",
    "spec.affinity": _SCHEDULER,
    "spec.automountServiceAccountToken": "the API server adds the volume, or leaves it out",
    "spec.containers[].name": _NAME,
    "spec.enableServiceLinks": "vk adds the variables, or leaves them out",
    "spec.nodeName": _SCHEDULER,
    "spec.nodeSelector": _SCHEDULER,
    "spec.os": "vk refuses a pod for another system than its node's",
    "spec.preemptionPolicy": _SCHEDULER,
    "spec.priority": _SCHEDULER,
    "spec.priorityClassName": _SCHEDULER,
    "spec.readinessGates": "vk counts them in condition Ready",
    "spec.schedulerName": _SCHEDULER,
    "spec.schedulingGates": _SCHEDULER,
    "spec.schedulingGroup": _SCHEDULER,
    "spec.serviceAccount": "the API server",
    "spec.serviceAccountName": "the API server",
    "spec.tolerations": _SCHEDULER,
    "spec.topologySpreadConstraints": _SCHEDULER,
    "spec.volumes[].name": _NAME,
}
"""What the cluster or the core sees to, and how: honoured with every backend whose own table says
nothing else."""


@attrs.frozen
class Finding:
    """A field that is set in a pod and not honoured as it stands.

    ``path`` is in table notation, ``place`` names the one field, as ``spec.volumes[0].hostPath``.
    """

    path: str
    place: str
    verdict: Verdict
    why: str


@attrs.frozen(kw_only=True)
class FieldTable:
    """What a backend does with each field; ``unlisted`` says it for fields that no rule names.

    A field that is ``changed`` is honoured in another way than it is written; its text says how.
    `NOT_THE_BACKENDS` need no rule. The core ends pods by ``spec.activeDeadlineSeconds``, unless it
    is listed as honoured: then the backend does.

    Raises ValueError when a path has two rules or does not start with ``spec.``.
    """

    honoured: tuple[str, ...] = attrs.field(default=(), converter=as_tuple)
    changed: Mapping[str, str] = attrs.field(factory=dict)
    ignored: Mapping[str, str] = attrs.field(factory=dict)
    refused: Mapping[str, str] = attrs.field(factory=dict)
    unlisted: Literal["ignored", "refused"] = attrs.field(
        default="ignored", validator=attrs.validators.in_(("ignored", "refused"))
    )
    _rules: Mapping[str, _Rule] = attrs.field(init=False, repr=False, eq=False)
    _parents: frozenset[str] = attrs.field(init=False, repr=False, eq=False)
    """Every path below which some rule lies."""

    @_rules.default
    def _all_rules(self) -> dict[str, _Rule]:
        rules = _with_twins(_listed(self))
        parents = _parents_of(rules)
        free: dict[str, _Rule] = dict.fromkeys(NOT_THE_BACKENDS, ("honoured", ""))
        for path, rule in _with_twins(free).items():
            above = next((each for each in reversed(_lineage(path)) if each in rules), None)
            # Where the backend's own rule says all about what is above, it holds.
            if above is None or (above in parents and above != path):
                rules[path] = rule
        return rules

    @_parents.default
    def _all_parents(self) -> frozenset[str]:
        return _parents_of(self._rules)

    def honours(self, path: str) -> bool:
        """Return whether the field at ``path`` is honoured, by the backend, cluster or core."""
        for candidate in reversed(_lineage(path)):
            if candidate in self._rules:
                return self._rules[candidate][0] in ("honoured", "changed")
        return False

    def rules(self) -> Iterator[tuple[str, Verdict, str]]:
        """Yield the backend's own rules, path by path: what it does, and why not more."""
        for path, (verdict, why) in sorted(_listed(self).items()):
            yield path, verdict, why

    def refusals(self, spec: Mapping[str, Any]) -> list[Finding]:
        """Return what is refused of ``spec`` (a pod's ``spec``), field by field, in its order.

        A field counts only when it is set to something: not null, false or empty. The kind of a
        volume counts when it is there at all, since ``emptyDir: {}`` means something.
        """
        if not self.refused and self.unlisted != "refused":
            return []
        return [found for found in self.findings(spec) if found.verdict == "refused"]

    def findings(self, spec: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what of ``spec`` is refused, ignored or changed, field by field, in its order."""
        start: _Rule = (self.unlisted, _UNLISTED)
        return self._walk(spec, "spec", "spec", start)

    def _walk(self, value: Any, path: str, place: str, rule: _Rule) -> Iterator[Finding]:
        rule = self._rules.get(path, rule)
        exact = f"{path}={_text(value)}" if path in self._parents else ""
        if exact in self._rules:
            path, rule = exact, self._rules[exact]
        elif isinstance(value, Mapping | list) and value and path in self._parents:
            for name, where, child in _children(value, path, place):
                if _is_set(child, name) or f"{name}={_text(child)}" in self._rules:
                    yield from self._walk(child, name, where, rule)
            return
        if rule[0] != "honoured":
            yield Finding(path, place, *rule)


def in_words(findings: Iterable[Finding]) -> str:
    """Return one line: each reason once, after the fields that it holds for.

    Of fields with the same path, as in containers that are alike, the first few are named.
    """
    reasons: dict[str, dict[str, list[str]]] = {}
    for found in findings:
        reasons.setdefault(found.why, {}).setdefault(found.path, []).append(found.place)
    return "; ".join(
        f"{', '.join(_first_few(places) for places in paths.values())}: {why}"
        for why, paths in reasons.items()
    )


def _first_few(places: list[str]) -> str:
    more = len(places) - _MOST_PLACES
    return ", ".join(places[:_MOST_PLACES]) + (f" and {more} more" if more > 0 else "")


def _listed(table: FieldTable) -> dict[str, _Rule]:
    rules: dict[str, _Rule] = {}
    listed: tuple[tuple[Verdict, Mapping[str, str]], ...] = (
        ("honoured", dict.fromkeys(table.honoured, "")),
        ("changed", table.changed),
        ("ignored", table.ignored),
        ("refused", table.refused),
    )
    for verdict, paths in listed:
        for path, why in paths.items():
            if path in rules:
                raise ValueError(f"two rules for field {path}: {rules[path][0]} and {verdict}")
            if not path.startswith("spec."):
                raise ValueError(f"field path {path!r}, expected one that starts with 'spec.'")
            rules[path] = (verdict, why)
    return rules


def _with_twins(rules: dict[str, _Rule]) -> dict[str, _Rule]:
    """Add the rules that init and ephemeral containers take over from containers."""
    result = dict(rules)
    for twin in _TWINS:
        whole = (rules.get(path, ("honoured", ""))[0] for path in (twin, twin + "[]"))
        if any(verdict in ("ignored", "refused") for verdict in whole):
            continue
        for path, rule in rules.items():
            if path.startswith(_CONTAINERS):
                result.setdefault(twin + "[]" + path.removeprefix(_CONTAINERS), rule)
    return result


def _parents_of(rules: Mapping[str, _Rule]) -> frozenset[str]:
    return frozenset(above for path in rules for above in _lineage(path) if above != path)


@lru_cache(maxsize=1024)  # a table's paths; each pod asks for the same dozens of them
def _lineage(path: str) -> tuple[str, ...]:
    """Return ``path`` and all paths above it, the shortest first."""
    field, equals, _ = path.partition("=")
    result: list[str] = []
    above = ""
    for part in field.split("."):
        above = f"{above}.{part}" if above else part
        result += _list_levels(above)
    return (*result, path) if equals else tuple(result)


def _list_levels(path: str) -> list[str]:
    bare = path
    while bare.endswith("[]"):
        bare = bare[:-2]
    return [bare + "[]" * n for n in range((len(path) - len(bare)) // 2 + 1)]


def _children(
    value: Mapping[str, Any] | list[Any], path: str, place: str
) -> Iterator[tuple[str, str, Any]]:
    """Yield path, place and value of each part."""
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield path + "[]", f"{place}[{index}]", child
        return
    for name, child in value.items():
        yield f"{path}.{name}", f"{place}.{name}", child


def _is_set(value: Any, path: str) -> bool:
    if value is None or value is False:
        return False
    if path.startswith(_VOLUME + ".") and path.count(".") == 2:
        return True
    return not (isinstance(value, str | Mapping | list) and not value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, Mapping | list) else str(value)
