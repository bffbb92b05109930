"""Discovery announces each kind as kube-apiserver does, and paths and objects find it."""

from __future__ import annotations

from typing import Any

import pytest
from golden_cases import golden

from vk.devcluster.kinds import KINDS, find, kind_of

STREAMS = {"attach", "exec", "log", "portforward", "proxy"}


@pytest.mark.parametrize("real", golden("discovery"), ids=lambda real: f"{real['plural']}")
def test_a_kind_is_announced_as_the_real_server_announces_it(real: dict[str, Any]) -> None:
    kind = find(real["group"], real["version"], real["plural"])
    assert kind is not None
    assert kind.name == real["kind"]
    assert kind.singular == real["singular"]
    assert list(kind.short_names) == real["short_names"]
    assert list(kind.categories) == real["categories"]
    assert kind.namespaced == real["namespaced"]
    assert sorted(kind.verbs) == real["verbs"]
    assert kind.subresources - STREAMS == {*real["subresources"]} - STREAMS


def test_every_kind_is_compared() -> None:
    assert len(golden("discovery")) == len(KINDS)


def test_a_kind_that_is_not_there_is_not_found() -> None:
    assert find("apps", "v1", "deployments") is None
    assert find("", "v2", "pods") is None
    assert kind_of("v1", "Deployment") is None
    assert kind_of(None, 5) is None


def test_names_for_messages() -> None:
    pods, leases = kind_of("v1", "Pod"), kind_of("coordination.k8s.io/v1", "Lease")
    assert pods is not None
    assert leases is not None
    assert (pods.api_version, pods.resource_name, pods.qualified_name) == ("v1", "pods", "Pod")
    assert leases.api_version == "coordination.k8s.io/v1"
    assert leases.resource_name == "leases.coordination.k8s.io"
    assert leases.qualified_name == "Lease.coordination.k8s.io"


def test_both_kinds_of_event_show_one_store_and_reviews_none() -> None:
    events = [kind for kind in KINDS if kind.name == "Event"]
    assert len(events) == 2
    assert len({kind.store for kind in events}) == 1
    stores = [kind.store for kind in KINDS if kind.stored and kind.name != "Event"]
    assert len({*stores}) == len(stores)
    assert {kind.name for kind in KINDS if not kind.stored} == {
        "Binding",
        "SelfSubjectAccessReview",
        "SelfSubjectReview",
        "SubjectAccessReview",
        "TokenReview",
    }
