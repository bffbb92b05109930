"""The table of merge rules says what the API server's OpenAPI document says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from vk.devcluster.patch.schemas import ORDINARY, Schema, schema_of
from vk.testing.control_plane import ControlPlane

KINDS = (
    ("", "Binding"),
    ("", "ConfigMap"),
    ("", "Endpoints"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "Pod"),
    ("", "Secret"),
    ("", "Service"),
    ("", "ServiceAccount"),
    ("authentication.k8s.io", "SelfSubjectReview"),
    ("authentication.k8s.io", "TokenReview"),
    ("authorization.k8s.io", "SelfSubjectAccessReview"),
    ("authorization.k8s.io", "SubjectAccessReview"),
    ("certificates.k8s.io", "CertificateSigningRequest"),
    ("coordination.k8s.io", "Lease"),
    ("discovery.k8s.io", "EndpointSlice"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
)
EVENTS = (("", "Event"), ("events.k8s.io", "Event"))  # one table entry for both
PREFIX = "x-kubernetes-"

Rules = tuple[bool, str, tuple[str, ...], bool, bool]


def rules_of(schema: Schema) -> Rules:
    return (schema.merges, schema.merge_key, schema.keys, schema.values, schema.whole)


def target_of(described: dict[str, Any]) -> str | None:
    """Return the name of the definition that a property, its items or its values refer to."""
    parts = [described, described.get("items"), described.get("additionalProperties")]
    found = [part["$ref"] for part in parts if isinstance(part, dict) and "$ref" in part]
    return found[0].rpartition("/")[2] if found else None


def described_rules(described: dict[str, Any], target: dict[str, Any]) -> Rules:
    kind = described.get(f"{PREFIX}list-type")
    merges = "merge" in described.get(f"{PREFIX}patch-strategy", "").split(",")
    keys = tuple(described.get(f"{PREFIX}list-map-keys", ())) if kind == "map" else ()
    atomic = "atomic" in (described.get(f"{PREFIX}map-type"), target.get(f"{PREFIX}map-type"))
    whole = atomic and (bool(keys) or described.get("type") != "array")
    merge_key = described.get(f"{PREFIX}patch-merge-key", "") if merges else ""
    return (merges, merge_key, keys, kind == "set", whole)


def differences(
    definitions: dict[str, Any], name: str, schema: Schema, path: str
) -> Iterator[tuple[str, Rules, Rules]]:
    """Yield each field below whose rules differ, with what they are and should be."""
    properties = definitions[name].get("properties", {})
    for field, described in properties.items():
        target = target_of(described)
        rules = schema.field(field)
        wanted = described_rules(described, definitions.get(target or "", {}))
        if rules_of(rules) != wanted:
            yield f"{path}.{field}", rules_of(rules), wanted
        is_list = described.get("type") == "array"
        opaque = wanted[4] or (is_list and not wanted[0] and not wanted[2])
        if opaque:
            if rules.fields:
                yield f"{path}.{field} needs no rules below", rules_of(rules), wanted
        elif target and target != name:
            yield from differences(definitions, target, rules, f"{path}.{field}")
    for field in schema.fields.keys() - properties.keys():
        yield f"{path}.{field} is not there", rules_of(schema.field(field)), rules_of(ORDINARY)


@pytest.fixture(scope="module")
def definitions(control_plane: ControlPlane) -> dict[str, Any]:
    document = json.loads(control_plane.kubectl("get", "--raw", "/openapi/v2"))
    found: dict[str, Any] = document["definitions"]
    return found


def name_of(definitions: dict[str, Any], group: str, kind: str) -> str:
    wanted = {"group": group, "version": "v1", "kind": kind}
    return next(
        name
        for name, one in definitions.items()
        if wanted in one.get(f"{PREFIX}group-version-kind", ())
    )


@pytest.mark.e2e
@pytest.mark.slow
@pytest.mark.parametrize(("group", "kind"), KINDS)
def test_the_rules_of_a_kind(definitions: dict[str, Any], group: str, kind: str) -> None:
    name = name_of(definitions, group, kind)
    assert list(differences(definitions, name, schema_of(kind), kind)) == []


@pytest.mark.e2e
@pytest.mark.slow
def test_the_rules_of_events(definitions: dict[str, Any]) -> None:
    names = [name_of(definitions, group, kind) for group, kind in EVENTS]
    found = [set(differences(definitions, name, schema_of("Event"), "Event")) for name in names]
    absent = {path for one in found for path, _, _ in one}
    assert absent == {"Event.involvedObject is not there", "Event.regarding is not there"}


def test_an_unknown_kind_has_the_rules_of_metadata() -> None:
    unknown = schema_of("Widget")
    assert unknown.field("metadata").field("ownerReferences").merge_key == "uid"
    assert unknown.field("spec") is ORDINARY
