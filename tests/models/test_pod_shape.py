"""Which field of a pod is malformed: its path and what is expected, never its value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.models.pod_shape import malformed_field

SECRET = "hunter2"


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": spec}


def container(**more: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "main", **more}])


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        (pod(containers=SECRET), "spec.containers: expected a list"),
        (pod(containers=[None]), "spec.containers[0]: expected an object"),
        (pod(containers=[{}]), "spec.containers[0].name: expected a non-empty string"),
        (pod(containers=[{"name": ""}]), "spec.containers[0].name: expected a non-empty string"),
        (pod(initContainers=[{"name": 1}]), "spec.initContainers[0].name: expected a non-empty"),
        (container(env=SECRET), "spec.containers[0].env: expected a list"),
        (container(env=[{"name": "A", "value": 1}]), "spec.containers[0].env[0].value: expected"),
        (
            container(env=[{"name": "A", "valueFrom": {"fieldRef": SECRET}}]),
            "spec.containers[0].env[0].valueFrom.fieldRef: expected an object",
        ),
        (
            container(resources={"requests": {"cpu": "lots"}}),
            "spec.containers[0].resources.requests[cpu]: expected a quantity",
        ),
        (pod(overhead={"cpu": None}), "spec.overhead[cpu]: expected a quantity"),
        (container(args=["a", None]), "spec.containers[0].args[1]: expected a string"),
        (
            container(resources={"limits": SECRET}),
            "spec.containers[0].resources.limits: expected an object",
        ),
        (pod(volumes=[{"name": "v"}, None]), "spec.volumes[1]: expected an object"),
        (pod(hostNetwork="yes"), "spec.hostNetwork: expected true or false"),
        (pod(terminationGracePeriodSeconds=True), "spec.terminationGracePeriodSeconds: expected"),
        ({**pod(), "metadata": None}, None),
        ({**pod(), "spec": SECRET}, "spec: expected an object"),
        (container(env=[{"name": "A", "value": SECRET}], image="busybox"), None),
        (pod(newField={"a": [None]}), None),
    ],
)
def test_the_first_malformed_field_is_named(raw: dict[str, Any], fault: str | None) -> None:
    found = malformed_field(raw)
    if fault is None:
        assert found is None
    else:
        assert found is not None
        assert found.startswith(fault)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.just(SECRET)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["spec", "metadata", "containers", "env", "name", "value"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), JSON))
def test_no_object_makes_it_fail_or_show_a_value(raw: dict[str, Any]) -> None:
    assert SECRET not in (malformed_field(raw) or "")
