"""Lint and admission agree, over pods made of the very fields that the providers' tables name."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vk.cli.lint import findings
from vk.cli.pod_specs import PodSpec
from vk.fields import FieldTable
from vk.pods.admission import AdmissionNode, ReservedResources, admit
from vk_providers.alibabacloud.fields import FIELDS as ALIBABACLOUD
from vk_providers.mock.fields import FIELDS as MOCK
from vk_providers.process.fields import FIELDS as PROCESS

UNKNOWN = ["spec.brandNew", "spec.containers[].brandNew.field", "spec.volumes[].brandNew"]
KINDS_OF_CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
NODE = AdmissionNode(allocatable={})

ANYTHING = st.sampled_from([None, False, True, 0, 1, "", "x", {}, {"a": "1"}, [], ["x"], [{}]])
AMOUNTS = st.sampled_from([None, {}, {"cpu": "1"}])
"""Of resources: no API server lets others in, and admission counts them."""


def plant(here: dict[str, Any], path: list[str], index: int, value: Any) -> None:
    """Set a field below ``here``, in the element ``index`` of each list on the way."""
    name, *below = path
    field = name.removesuffix("[]")
    if not name.endswith("[]"):
        _set(here, field, below, index, value)
    elif isinstance(items := here.setdefault(field, []), list):
        items += [{} for _ in range(index + 1 - len(items))]
        _set(items, index, below, index, value)


def _set(holder: Any, key: str | int, below: list[str], index: int, value: Any) -> None:
    if not below:
        holder[key] = value
        return
    child = holder[key] if isinstance(key, int) else holder.setdefault(key, {})
    if isinstance(child, dict):  # else another rule has set it as a whole
        plant(child, below, index, value)


@st.composite
def specs(draw: st.DrawFn, table: FieldTable) -> dict[str, Any]:
    """Return a PodSpec of fields that ``table`` has rules for, and of some that it has not."""
    spec: dict[str, Any] = {"containers": [{"name": "main"}]}
    rules = [path for path, _, _ in table.rules()] + UNKNOWN
    for rule in draw(st.lists(st.sampled_from(rules), max_size=8)):
        path, equals, text = rule.partition("=")
        value = {"true": True, "false": False}.get(text, text)
        if not equals:
            counted = "resources" in path or "overhead" in path
            value = draw(AMOUNTS if counted else ANYTHING)
        kind = draw(st.sampled_from(KINDS_OF_CONTAINERS))
        path = path.replace("spec.containers[]", f"spec.{kind}[]")
        plant(spec, path.split(".")[1:], draw(st.integers(0, 4)), value)
    return spec


def refused_by_lint(spec: dict[str, Any], table: FieldTable) -> set[str]:
    pod = PodSpec("Pod", "p", "spec", spec)
    return {one.place for one in findings(pod, table, "run") if one.verdict == "refused"}


def refused_at_admission(spec: dict[str, Any], table: FieldTable) -> tuple[set[str], int]:
    """Return the fields that the message names, and how many more it speaks of."""
    raw = {"metadata": {"uid": "u"}, "spec": spec}
    rejection = admit(raw, fields=table, node=NODE, used=ReservedResources())
    if rejection is None:
        return set(), 0
    assert rejection.reason == "UnsupportedField"
    named = re.findall(r"(spec\.[^\s,:]+)(?=,|:| and \d+ more)", rejection.message)
    more = re.findall(r" and (\d+) more", rejection.message)
    assert len(named) == len(set(named))
    return set(named), sum(map(int, more))


@pytest.mark.parametrize("table", [PROCESS, MOCK, ALIBABACLOUD, FieldTable(unlisted="refused")])
@settings(deadline=None, max_examples=500)
@given(data=st.data())
def test_lint_refuses_exactly_the_fields_that_admission_refuses(
    table: FieldTable, data: st.DataObject
) -> None:
    spec = data.draw(specs(table))
    by_lint = refused_by_lint(spec, table)
    named, more = refused_at_admission(spec, table)
    assert named <= by_lint
    assert len(named) + more == len(by_lint)
