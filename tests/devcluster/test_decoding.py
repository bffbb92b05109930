"""Any JSON becomes an object of its kind or a refusal in the words of the real server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shaped_objects import JSON, objects

from vk.devcluster.kinds import Kind, kind_of
from vk.devcluster.validation import (
    WrongTypeError,
    check_create,
    check_update,
    for_create,
    for_update,
    unknown_fields,
)
from vk.devcluster.validation.decoding import decode
from vk.notation.quantity import parse_quantity

POD = kind_of("v1", "Pod")
NODE = kind_of("v1", "Node")
LEASE = kind_of("coordination.k8s.io/v1", "Lease")
assert POD is not None
assert NODE is not None
assert LEASE is not None


@given(objects())
@settings(max_examples=300, deadline=None)
@pytest.mark.slow
def test_every_object_is_stored_or_refused(drawn: tuple[Kind, dict[str, Any]]) -> None:
    kind, given_object = drawn
    unknown_fields(kind, given_object)
    try:
        stored = for_create(kind, given_object)
    except WrongTypeError as error:
        assert str(error)
        return
    causes = check_create(kind, stored)
    assert all(cause.message and cause.reason for cause in causes)
    assert unknown_fields(kind, stored) == []
    for subresource in ("", *sorted(kind.subresources), "deletion"):
        again = for_update(kind, stored, stored, subresource)
        check_update(kind, stored, again, subresource)


@given(objects())
@settings(max_examples=150, deadline=None)
@pytest.mark.slow
def test_decoding_again_changes_nothing(drawn: tuple[Kind, dict[str, Any]]) -> None:
    kind, given_object = drawn
    try:
        once = decode(kind, given_object)
    except WrongTypeError:
        return
    assert decode(kind, once) == once


@given(JSON)
def test_what_is_no_object_at_all_is_a_wrong_type(value: Any) -> None:
    for part in ("metadata", "spec", "status"):
        if isinstance(value, dict) or value is None:
            continue
        with pytest.raises(WrongTypeError, match=f"Go struct field Pod.{part} of type v1."):
            for_create(POD, {"metadata": {"name": "a"}, part: value})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"hostNetwork": "yes"},
            "string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (
            {"containers": ["a"]},
            "string into Go struct field PodSpec.spec.containers of type v1.Container",
        ),
        (
            {"containers": [{"ports": [{"containerPort": 80.5}]}]},
            "number 80.5 into Go struct field ContainerPort.spec.containers.ports.containerPort of "
            "type int32",
        ),
        (
            {"containers": [{"ports": [{"containerPort": 5000000000}]}]},
            "number 5000000000 into Go struct field "
            "ContainerPort.spec.containers.ports.containerPort of type int32",
        ),
        (
            {"containers": [{"imagePullPolicy": 5}]},
            "number into Go struct field Container.spec.containers.imagePullPolicy of type "
            "v1.PullPolicy",
        ),
        (
            {"containers": [{"resources": {"requests": "x"}}]},
            "string into Go struct field ResourceRequirements.spec.containers.resources.requests "
            "of type v1.ResourceList",
        ),
        (
            {"containers": [{"command": [1]}]},
            "number into Go struct field Container.spec.containers.command of type string",
        ),
        (
            {"securityContext": []},
            "array into Go struct field PodSpec.spec.securityContext of type v1.PodSecurityContext",
        ),
    ],
)
def test_a_wrong_type_names_the_field(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(WrongTypeError) as caught:
        for_create(POD, {"metadata": {"name": "a"}, "spec": spec})
    assert str(caught.value) == f"json: cannot unmarshal {words}"


def test_unknown_fields_are_reported_in_the_order_of_the_document() -> None:
    pod = {
        "metadata": {"name": "a", "x": 1, "labels": {"any": "key"}},
        "spec": {
            "containers": [
                {"name": "a", "foo": 1, "env": [{"name": "a", "valeu": 5}, {"name": "b", "x": {}}]},
            ],
            "volumes": [{"name": "a", "emptyDir": {"foo": 1}}],
            "foo": 5,
        },
        "Spec": {},
    }
    assert unknown_fields(POD, pod) == [
        'unknown field "metadata.x"',
        'unknown field "spec.containers[0].foo"',
        'unknown field "spec.containers[0].env[0].valeu"',
        'unknown field "spec.containers[0].env[1].x"',
        'unknown field "spec.volumes[0].emptyDir.foo"',
        'unknown field "spec.foo"',
        'unknown field "Spec"',
    ]
    assert unknown_fields(POD, {"spec": "no object", "metadata": []}) == []


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("1000m", "1"),
        ("0.5", "500m"),
        (" 5 ", "5"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("1.1Mi", "1153433600m"),
        ("1e3", "1e3"),
        ("1E3", "1E3"),
        ("100e-3", "100e-3"),
        ("0.0001", "1m"),
        ("1n", "1m"),
        ("1Ki", "1Ki"),
        ("1000", "1k"),
        ("00", "0"),
        ("128974848", "128974848"),
        ("2Ei", "2Ei"),
        ("10E", "10E"),
        ("12345678901234567890", "12345678901234567890"),
        (1, "1"),
        (1.5, "1500m"),
        (None, "0"),
    ],
)
def test_quantities_are_written_as_the_real_server_writes_them(
    given_text: object, stored: str
) -> None:
    node = for_create(
        NODE, {"metadata": {"name": "n"}, "status": {"capacity": {"x/y": given_text}}}
    )
    assert node["status"]["capacity"] == {"x/y": stored}
    assert node["status"]["allocatable"] == {"x/y": stored}


@given(st.decimals(0, 10**12, places=3), st.sampled_from(["", "m", "k", "Mi", "Gi"]))
def test_a_stored_quantity_is_the_given_one_rounded_up_to_a_thousandth(
    number: object, suffix: str
) -> None:
    text = f"{number:f}{suffix}"
    node = for_create(NODE, {"metadata": {"name": "n"}, "status": {"capacity": {"cpu": text}}})
    stored, exact = parse_quantity(node["status"]["capacity"]["cpu"]), parse_quantity(text)
    assert stored * 1000 == int(stored * 1000)
    assert 0 <= (stored - exact) * 1000 < 1


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-01T00:00:00.500000Z", "2026-01-01T00:00:00.500000Z"),
        ("2026-01-01T01:00:00.123456+01:00", "2026-01-01T00:00:00.123456Z"),
    ],
)
def test_precise_times_are_stored_in_utc(text: str, stored: str) -> None:
    lease = for_create(LEASE, {"metadata": {"name": "l"}, "spec": {"renewTime": text}})
    assert lease["spec"]["renewTime"] == stored


@pytest.mark.parametrize(
    ("text", "rest", "layout"),
    [
        ("", "", "2006"),
        ("2026-01-01T00:00:00.5Z", ".5Z", ".000000"),
        ("2026-01-01T00:00:00Z", "Z", ".000000"),
        ("2026-01-01T00:00:00.123456789Z", "789Z", "Z07:00"),
    ],
)
def test_a_time_without_six_digits_is_refused(text: str, rest: str, layout: str) -> None:
    with pytest.raises(WrongTypeError) as caught:
        for_create(LEASE, {"metadata": {"name": "l"}, "spec": {"renewTime": text}})
    assert str(caught.value) == (
        f'parsing time "{text}" as "2006-01-02T15:04:05.000000Z07:00": '
        f'cannot parse "{rest}" as "{layout}"'
    )
