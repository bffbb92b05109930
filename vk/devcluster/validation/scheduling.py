"""Checks of what decides where a pod runs: selectors, affinity, tolerations, spreading. Pure.

In: a defaulted pod spec. Out: causes. Called by the pod's checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.metadata import label_map_faults
from vk.devcluster.validation.names import (
    label_value_faults,
    qualified_name_faults,
    subdomain_faults,
)

__all__ = ["scheduling_faults"]

_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_OPERATORS = ("Equal", "Exists")
_UNSATISFIABLE = ("DoNotSchedule", "ScheduleAnyway")
_LISTS, _EXISTENCE, _COMPARISONS = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NO_OPERATOR = "not a valid selector operator"


def scheduling_faults(spec: dict[str, Any]) -> list[Cause]:
    """Return what is wrong with the placement of a pod."""
    causes = label_map_faults("spec.nodeSelector", spec.get("nodeSelector") or {})
    affinity = spec.get("affinity") or {}
    causes += _node_affinity_faults(affinity.get("nodeAffinity") or {})
    for name in ("podAffinity", "podAntiAffinity"):
        causes += _pod_affinity_faults(f"spec.affinity.{name}", affinity.get(name) or {})
    for index, toleration in enumerate(spec.get("tolerations") or ()):
        causes += _toleration_faults(f"spec.tolerations[{index}]", toleration)
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        causes += _spread_faults(f"spec.topologySpreadConstraints[{index}]", constraint)
    return causes


def _node_affinity_faults(affinity: dict[str, Any]) -> list[Cause]:
    field = "spec.affinity.nodeAffinity"
    causes: list[Cause] = []
    if _REQUIRED in affinity:
        terms = affinity[_REQUIRED]["nodeSelectorTerms"] or []
        at = f"{field}.{_REQUIRED}.nodeSelectorTerms"
        if not terms:
            causes.append(required(at, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            causes += _node_term_faults(f"{at}[{index}]", term)
    for index, choice in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{field}.{_PREFERRED}[{index}]"
        causes += _weight_faults(at, choice["weight"])
        causes += _node_term_faults(f"{at}.preference", choice["preference"])
    return causes


def _weight_faults(field: str, weight: int) -> list[Cause]:
    if 1 <= weight <= 100:
        return []
    return [invalid(f"{field}.weight", weight, "must be in the range 1-100")]


def _node_term_faults(field: str, term: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for index, requirement in enumerate(term.get("matchExpressions") or ()):
        causes += _node_requirement_faults(f"{field}.matchExpressions[{index}]", requirement)
    for index, requirement in enumerate(term.get("matchFields") or ()):
        causes += _field_requirement_faults(f"{field}.matchFields[{index}]", requirement)
    return causes


def _node_requirement_faults(field: str, requirement: dict[str, Any]) -> list[Cause]:
    operator, values = requirement["operator"], requirement.get("values") or []
    key = requirement["key"]
    if operator in _COMPARISONS:
        detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        causes = [required(f"{field}.values", detail)] if len(values) != 1 else []
    else:
        causes = _value_faults(field, operator, values)
    causes += invalid_each(f"{field}.key", key, qualified_name_faults(key))
    for index, value in enumerate(values if operator in _LISTS else ()):
        causes += invalid_each(f"{field}.values[{index}]", value, label_value_faults(value))
    return causes


def _value_faults(field: str, operator: str, values: list[str]) -> list[Cause]:
    if operator in _LISTS:
        detail = "must be specified when `operator` is 'In' or 'NotIn'"
        return [] if values else [required(f"{field}.values", detail)]
    if operator in _EXISTENCE:
        detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        return [forbidden(f"{field}.values", detail)] if values else []
    return [invalid(f"{field}.operator", operator, _NO_OPERATOR)]


def _field_requirement_faults(field: str, requirement: dict[str, Any]) -> list[Cause]:
    operator, values = requirement["operator"], requirement.get("values") or []
    key = requirement["key"]
    if operator not in _LISTS:
        causes = [invalid(f"{field}.operator", operator, _NO_OPERATOR)]
    elif len(values) != 1:
        detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
        causes = [required(f"{field}.values", detail)]
    else:
        causes = []
    if key != "metadata.name":
        return [*causes, invalid(f"{field}.key", key, "not a valid field selector key")]
    for index, value in enumerate(values):
        causes += invalid_each(f"{field}.values[{index}]", value, subdomain_faults(value))
    return causes


def _pod_affinity_faults(field: str, affinity: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for index, term in enumerate(affinity.get(_REQUIRED) or ()):
        causes += _pod_term_faults(f"{field}.{_REQUIRED}[{index}]", term)
    for index, choice in enumerate(affinity.get(_PREFERRED) or ()):
        at = f"{field}.{_PREFERRED}[{index}]"
        causes += _weight_faults(at, choice["weight"])
        causes += _pod_term_faults(f"{at}.podAffinityTerm", choice["podAffinityTerm"])
    return causes


def _pod_term_faults(field: str, term: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("labelSelector", "namespaceSelector"):
        if name in term:
            causes += _label_selector_faults(f"{field}.{name}", term[name])
    key = term["topologyKey"]
    if not key:
        causes.append(required(f"{field}.topologyKey", "can not be empty"))
    return causes + invalid_each(f"{field}.topologyKey", key, qualified_name_faults(key))


def _label_selector_faults(field: str, selector: dict[str, Any]) -> list[Cause]:
    causes = label_map_faults(f"{field}.matchLabels", selector.get("matchLabels") or {})
    for index, requirement in enumerate(selector.get("matchExpressions") or ()):
        at = f"{field}.matchExpressions[{index}]"
        causes += _value_faults(at, requirement["operator"], requirement.get("values") or [])
        faults = qualified_name_faults(requirement["key"])
        causes += invalid_each(f"{at}.key", requirement["key"], faults)
        for place, value in enumerate(requirement.get("values") or ()):
            causes += invalid_each(f"{at}.values[{place}]", value, label_value_faults(value))
    return causes


def _toleration_faults(field: str, toleration: dict[str, Any]) -> list[Cause]:
    return list(_each_toleration_fault(field, toleration))


def _each_toleration_fault(field: str, toleration: dict[str, Any]) -> Iterator[Cause]:
    key, value = toleration.get("key", ""), toleration.get("value", "")
    operator, effect = toleration.get("operator", ""), toleration.get("effect", "")
    if key:
        yield from invalid_each(f"{field}.key", key, qualified_name_faults(key))
    elif operator != "Exists":
        detail = "operator must be Exists when `key` is empty, which means "
        yield invalid(f"{field}.operator", operator, detail + '"match all values and all keys"')
    if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
        detail = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        yield invalid(f"{field}.effect", effect, detail)
    if operator in ("", "Equal"):
        yield from invalid_each(f"{field}.operator", value, label_value_faults(value))
    elif operator not in _OPERATORS:
        yield unsupported(f"{field}.operator", operator, _OPERATORS)
    elif value:
        detail = "value must be empty when `operator` is 'Exists'"
        yield invalid(f"{field}.operator", value, detail)
    if effect and effect not in _EFFECTS:
        yield unsupported(f"{field}.effect", effect, _EFFECTS)


def _spread_faults(field: str, constraint: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    if constraint["maxSkew"] <= 0:
        detail = "must be greater than zero"
        causes.append(invalid(f"{field}.maxSkew", constraint["maxSkew"], detail))
    if not constraint["topologyKey"]:
        causes.append(required(f"{field}.topologyKey", "can not be empty"))
    action = constraint["whenUnsatisfiable"]
    if action not in _UNSATISFIABLE:
        causes.append(unsupported(f"{field}.whenUnsatisfiable", action, _UNSATISFIABLE))
    if "labelSelector" in constraint:
        causes += _label_selector_faults(f"{field}.labelSelector", constraint["labelSelector"])
    return causes
