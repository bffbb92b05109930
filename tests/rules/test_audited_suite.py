"""What judges the rights of the end-to-end suite's nodes can tell good from bad."""

from __future__ import annotations

from audited_suite import USERS, Asked, denied, unused

from vk.cluster.permissions import PERMISSIONS
from vk.testing.audit import Request

NODE = "system:serviceaccount:kube-system:vk"
DRAIN = "system:serviceaccount:vk-system:vk-drain"
EVERYTHING = {
    Asked(user, Request(one.group, one.resource, verb, one.namespace))
    for user in (NODE, DRAIN)
    for one in PERMISSIONS
    if (one.feature == "drain") is (user == DRAIN)
    for verb in one.verbs
}


def test_a_suite_that_uses_every_right_is_fine() -> None:
    assert {NODE, DRAIN} <= USERS.keys()
    assert denied(EVERYTHING) == unused(EVERYTHING) == []


def test_a_right_that_only_another_account_used_is_unused() -> None:
    """Both may get nodes; a node is not given it for the sake of a drain."""
    less = EVERYTHING - {Asked(NODE, Request("", "nodes", "get"))}
    assert unused(less) == ["no node used the right to get nodes"]


def test_a_denied_request_is_no_use_of_a_right() -> None:
    one = Request("coordination.k8s.io", "leases", "update", "kube-node-lease")
    refused = Request(one.group, one.resource, one.verb, one.namespace, denied=True)
    asked = EVERYTHING - {Asked(NODE, one)} | {Asked(NODE, refused)}
    right = "update leases.coordination.k8s.io in kube-node-lease"
    assert denied(asked) == [f"{NODE} was denied to {right}"]
    assert unused(asked) == [f"no node used the right to {right}"]


def test_a_right_that_worked_at_another_time_was_not_lacking() -> None:
    asked = EVERYTHING | {Asked(NODE, Request("", "secrets", "get", "elsewhere", denied=True))}
    assert denied(asked) == []
    assert denied(asked | {Asked(DRAIN, Request("", "secrets", "get", denied=True))}) == [
        f"{DRAIN} was denied to get secrets"
    ]
