"""A pod's resolver settings are the kubelet's."""

from __future__ import annotations

from typing import Any

import pytest

from vk.models.pod import DNS
from vk.pods.resolve.dns import resolve_dns

BACKENDS_OWN = DNS()
CLUSTER = DNS(
    ("10.0.0.10",),
    ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"),
    ("ndots:5",),
)
CONFIG = {
    "nameservers": ["10.0.0.10", "1.1.1.1", "2.2.2.2", "3.3.3.3"],
    "searches": ["a.b", "a.b"],
    "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}, {"name": "x", "value": None}],
}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, CLUSTER),
        ({"dnsPolicy": None, "dnsConfig": None}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst"}, CLUSTER),
        ({"dnsPolicy": "ClusterFirst", "hostNetwork": True}, BACKENDS_OWN),
        ({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": True}, CLUSTER),
        ({"dnsPolicy": "Default"}, BACKENDS_OWN),
        ({"dnsPolicy": "None"}, DNS()),
        (
            {"dnsPolicy": "None", "dnsConfig": CONFIG},
            DNS(("10.0.0.10", "1.1.1.1", "2.2.2.2"), ("a.b",), ("ndots:2", "edns0", "x")),
        ),
        (
            {"dnsConfig": CONFIG},
            DNS(
                ("10.0.0.10", "1.1.1.1", "2.2.2.2"),
                (*CLUSTER.searches, "a.b"),
                ("ndots:2", "edns0", "x"),
            ),
        ),
        (
            {"dnsPolicy": "None", "dnsConfig": {"searches": ["a" * 1500, "b" * 600]}},
            DNS((), ("a" * 1500,)),
        ),
    ],
)
def test_policy_and_config_give_the_settings(spec: dict[str, Any], expected: DNS) -> None:
    found = resolve_dns(
        spec,
        namespace="shop",
        cluster_dns=("10.0.0.10",),
        cluster_domain="cluster.local",
    )
    assert found == expected


def test_without_a_cluster_resolver_the_backends_own_is_used() -> None:
    found = resolve_dns({}, namespace="a", cluster_dns=(), cluster_domain="c")
    assert found == BACKENDS_OWN


def test_without_a_domain_there_are_no_cluster_searches() -> None:
    found = resolve_dns({}, namespace="a", cluster_dns=("10.0.0.10",), cluster_domain="")
    assert found == DNS(("10.0.0.10",), (), ("ndots:5",))
