"""What a FieldTable says about fields and about pods."""

from __future__ import annotations

from typing import Any

import pytest

from vk.fields import FieldTable, Finding

WHY = "the backend has no such thing"


def refused(table: FieldTable, spec: dict[str, Any]) -> list[str]:
    return [found.place for found in table.refusals(spec)]


def one(**container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", **container}]}


PRIVILEGED = FieldTable(refused={"spec.containers[].securityContext.privileged": WHY})
VOLUMES = FieldTable(
    honoured=("spec.volumes[].configMap",), refused={"spec.volumes": WHY, "spec.hostPID": WHY}
)
DNS = FieldTable(refused={"spec.dnsPolicy=None": WHY, "spec.tty=true": WHY})
STRICT = FieldTable(honoured=("spec.containers[].image", "spec.restartPolicy"), unlisted="refused")
NO_INIT = FieldTable(honoured=("spec.containers[].image",), refused={"spec.initContainers": WHY})


@pytest.mark.parametrize(
    ("table", "spec", "places"),
    [
        (FieldTable(), {"hostPID": True, "anything": {"at": "all"}}, []),
        (PRIVILEGED, one(), []),
        (PRIVILEGED, one(securityContext=None), []),
        (PRIVILEGED, one(securityContext={"privileged": False}), []),
        (PRIVILEGED, {"containers": None}, []),
        (
            PRIVILEGED,
            one(securityContext={"privileged": True, "runAsUser": 0}),
            ["spec.containers[0].securityContext.privileged"],
        ),
        (
            PRIVILEGED,
            {"initContainers": [{"name": "i", "securityContext": {"privileged": True}}] * 2},
            [f"spec.initContainers[{index}].securityContext.privileged" for index in (0, 1)],
        ),
        (VOLUMES, {"hostPID": False, "volumes": []}, []),
        (VOLUMES, {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}, []),
        (VOLUMES, {"volumes": [{"name": "v", "emptyDir": {}}]}, ["spec.volumes[0].emptyDir"]),
        (VOLUMES, {"hostPID": True}, ["spec.hostPID"]),
        (DNS, {"dnsPolicy": "ClusterFirst", "tty": False}, []),
        (DNS, {"dnsPolicy": "None", "tty": True}, ["spec.dnsPolicy", "spec.tty"]),
        (STRICT, {"nodeName": "n", "restartPolicy": "Never", **one(image="i")}, []),
        (STRICT, {"securityContext": {}, "hostAliases": []}, []),
        (STRICT, one(tty=True), ["spec.containers[0].tty"]),
        (STRICT, {"hostname": "h"}, ["spec.hostname"]),
        (STRICT, {"initContainers": [{"name": "i", "image": "i"}]}, []),
        (NO_INIT, {"initContainers": [{"name": "i", "image": "i"}]}, ["spec.initContainers"]),
        (
            FieldTable(refused={"spec.runtimeClassName": WHY}),
            {"runtimeClassName": "kata"},
            ["spec.runtimeClassName"],
        ),
        (
            FieldTable(refused={"spec.containers[].capabilities.add[]=NET_ADMIN": WHY}),
            one(capabilities={"add": ["KILL", "NET_ADMIN"]}),
            ["spec.containers[0].capabilities.add[1]"],
        ),
    ],
)
def test_only_refused_fields_that_are_set_are_refused(
    table: FieldTable, spec: dict[str, Any], places: list[str]
) -> None:
    assert refused(table, spec) == places


def test_zero_is_set() -> None:
    table = FieldTable(refused={"spec.securityContext.runAsUser": WHY})
    path = "spec.securityContext.runAsUser"
    assert table.refusals({"securityContext": {"runAsUser": 0}}) == [
        Finding(path, path, "refused", WHY)
    ]


def test_init_containers_may_have_rules_of_their_own() -> None:
    table = FieldTable(
        honoured=("spec.initContainers[].tty",), refused={"spec.containers[].tty": WHY}
    )
    spec = {"initContainers": [{"name": "i", "tty": True}], **one(tty=True)}
    assert refused(table, spec) == ["spec.containers[0].tty"]


@pytest.mark.parametrize(
    ("path", "honoured"),
    [
        ("spec.volumes[].configMap", True),
        ("spec.volumes[].configMap.items[].key", True),
        ("spec.volumes[].hostPath", False),
        ("spec.volumes", False),
        ("spec.volumesque", False),
        ("spec.tolerations", True),
    ],
)
def test_the_most_specific_rule_says_whether_a_field_is_honoured(path: str, honoured: bool) -> None:
    assert VOLUMES.honours(path) is honoured


def test_a_table_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two rules for field spec\.hostPID"):
        FieldTable(honoured=("spec.hostPID",), ignored={"spec.hostPID": WHY})
    with pytest.raises(ValueError, match="expected one that starts with"):
        FieldTable(honoured=("hostPID",))
