"""Every field of the API's PodSpec has its handling in the table; the list is the client's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from vk.fields import NOT_THE_BACKENDS
from vk_providers.alibabacloud.fields import FIELDS


@cache
def every_path() -> tuple[str, ...]:
    from kubernetes_asyncio import client

    def walk(kind: Any, path: str, above: tuple[Any, ...]) -> Iterator[str]:
        for attribute, type_name in kind.openapi_types.items():
            listed = re.fullmatch(r"list\[(\w+)\]", type_name)
            below = f"{path}.{kind.attribute_map[attribute]}" + ("[]" if listed else "")
            inner = getattr(client, listed[1] if listed else type_name, None)
            if inner is None or not getattr(inner, "openapi_types", None) or inner in above:
                yield below
            else:
                yield from walk(inner, below, (*above, inner))

    return tuple(walk(client.V1PodSpec, "spec", ()))


def lineage(path: str) -> set[str]:
    parts = path.split(".")
    whole = {".".join(parts[: n + 1]) for n in range(1, len(parts))}
    return whole | {one.removesuffix("[]") for one in whole}


def listed() -> set[str]:
    named = {*FIELDS.honoured, *FIELDS.changed, *FIELDS.ignored, *FIELDS.refused}
    return {path.partition("=")[0] for path in named} | set(NOT_THE_BACKENDS)


def test_the_list_of_fields_is_whole() -> None:
    assert len(every_path()) > 500
    assert "spec.containers[].livenessProbe.grpc.port" in every_path()


def test_every_field_has_an_entry() -> None:
    """A field of a new API version fails here until it has an entry."""
    names, twins = listed(), re.compile(r"spec\.(initContainers|ephemeralContainers)\[\]")
    unknown = [
        path
        for path in every_path()
        if not (lineage(path) | lineage(twins.sub("spec.containers[]", path))) & names
    ]
    assert unknown == []


def test_every_entry_is_a_field_that_exists() -> None:
    known = {above for path in every_path() for above in lineage(path)}
    known |= {path.replace("spec.initContainers[]", "spec.containers[]") for path in known}
    assert [path for path in sorted(listed()) if path not in known] == []


def test_every_refusal_has_a_reason() -> None:
    assert all(FIELDS.refused.values())
    assert all(FIELDS.ignored.values())


@pytest.mark.parametrize(
    ("spec", "place"),
    [
        ({"hostNetwork": True}, "spec.hostNetwork"),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "spec.volumes[0].hostPath"),
        ({"ephemeralContainers": [{"name": "d"}]}, "spec.ephemeralContainers"),
        ({"brandNew": 1}, "spec.brandNew"),
        ({"initContainers": [{"restartPolicy": "Never"}]}, "spec.initContainers[0].restartPolicy"),
    ],
)  # fmt: skip
def test_what_eci_cannot_do_is_refused_with_its_place(spec: dict[str, Any], place: str) -> None:
    assert [refusal.place for refusal in FIELDS.refusals(spec)] == [place]


def test_a_native_sidecar_and_a_restricted_pod_are_let_in() -> None:
    hardened = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    spec = {
        "initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}],
        "containers": [{"name": "c", "image": "i", "securityContext": hardened}],
    }
    assert FIELDS.refusals(spec) == []
