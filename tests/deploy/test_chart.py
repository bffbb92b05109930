"""The chart: what it asks for, what it refuses, and that the files beside it are made from it."""

from __future__ import annotations

import runpy
from typing import Any

import pytest
import yaml
from charts import DEPLOY, helm_program, one, refusal, render

from vk.cli.options import OPTIONS
from vk.cluster.permissions import PERMISSIONS, Permission
from vk.settings import LIVE

pytestmark = pytest.mark.slow
Json = dict[str, Any]
RELEASE = "kube-system:vk"


def rules(objects: list[Json], *names: str) -> list[Json]:
    """Return the rules of the roles with these names."""
    return [
        rule
        for each in objects
        if each["kind"] in ("Role", "ClusterRole") and each["metadata"]["name"] in names
        for rule in each["rules"]
    ]


def rows(*features: str) -> list[Permission]:
    """Return the permissions of these features that are given by roles of our own."""
    return [each for each in PERMISSIONS if each.feature in features]


def in_order(found: list[Json]) -> list[Json]:
    return sorted(found, key=str)


@pytest.mark.parametrize(
    "name", ["chart/files/permissions.yaml", "base/rbac.yaml", "base/node.yaml"]
)
def test_made_files_are_what_render_makes_of_their_sources(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else: python examples/deploy/render.py."""
    if name == "base/node.yaml":
        monkeypatch.setenv("HELM", helm_program())
    made = runpy.run_path(str(DEPLOY / "render.py"))["FILES"][name]
    assert (DEPLOY / name).read_text() == made()


FEATURES = ("node", "kubelet-api", "serving-certificate")
VOLUMES = (*FEATURES, "persistent-volumes")


@pytest.mark.parametrize(
    ("values", "features", "references"),
    [
        ({"references": {"namespaces": []}}, FEATURES, ""),
        (
            {"config": {"serving-signer": "none"}, "references": {"namespaces": []}},
            FEATURES[:2],
            "",
        ),
        ({}, VOLUMES, "RoleBinding"),
        (
            {"references": {"everyNamespace": True, "namespaces": []}},
            VOLUMES,
            "ClusterRoleBinding",
        ),
        ({"references": {"namespaces": ["team"]}}, VOLUMES, "RoleBinding"),
    ],
)
def test_roles_follow_the_features(
    values: Json, features: tuple[str, ...], references: str
) -> None:
    """Each rule comes from the table that `vk rbac` and `vk doctor` use, and none is missing."""
    objects = render(values)
    assert in_order(rules(objects, RELEASE)) == in_order(
        [each.rule("vk") for each in rows(*features)]
    )
    wanted = (
        [each.rule("vk") for each in rows("references", "claims", "tokens")] if references else []
    )
    assert rules(objects, f"{RELEASE}:references") == wanted
    bound = [
        each["kind"] for each in objects if each["metadata"]["name"] == f"{RELEASE}:references"
    ]
    assert [kind for kind in bound if kind != "ClusterRole"] == ([references] if references else [])


def _arguments(job: Json) -> list[str]:
    (container,) = job["spec"]["template"]["spec"]["containers"]
    return list(container["args"])


def test_only_the_removal_may_drain() -> None:
    objects = render()
    drain = rules(objects, "kube-system:vk-drain")
    assert in_order(drain) == in_order([each.rule("vk") for each in rows("drain")])
    hooks = [
        each
        for each in objects
        if each["metadata"]["name"].startswith(("vk-drain", "kube-system:vk-drain"))
    ]
    assert all("helm.sh/hook" in each["metadata"]["annotations"] for each in hooks)
    arguments = {
        each["metadata"]["annotations"]["helm.sh/hook"]: _arguments(each)
        for each in hooks
        if each["kind"] == "Job"
    }
    common = ["drain", "vk", "--timeout", "10m"]
    assert arguments == {"pre-delete": common, "post-delete": [*common, "--delete-node"]}
    assert not [each for each in render({"drain": {"enabled": False}}) if each["kind"] == "Job"]


def test_pods_run_as_nobody_on_a_read_only_disk_and_never_on_a_virtual_node() -> None:
    for each in render():
        if each["kind"] not in ("Deployment", "Job"):
            continue
        spec = each["spec"]["template"]["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
        required = spec["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        (term,) = required["nodeSelectorTerms"]
        assert term["matchExpressions"] == [
            {"key": "type", "operator": "NotIn", "values": ["virtual-kubelet"]}
        ]


def test_two_replicas_are_updated_one_after_the_other_and_one_always_stays() -> None:
    objects = render()
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert one(objects, "PodDisruptionBudget")["spec"]["minAvailable"] == 1
    probed = spec["template"]["spec"]["containers"][0]
    assert {probed[name]["httpGet"]["path"] for name in probed if name.endswith("Probe")} == {
        "/livez",
        "/readyz",
    }


def test_a_setting_that_a_running_node_takes_over_restarts_nothing() -> None:
    def checksum(**config: object) -> str:
        values = {"config": config, "replicas": 1, "podDisruptionBudget": {"enabled": False}}
        template = one(render(values), "Deployment")["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    live = {"log-level": "debug", "orphans": "report", "taint": "a/b", "disable-taint": True}
    live |= {"max-creates-per-minute": 5, "not-ready-after": "1m", "not-ready-on-exit": True}
    assert live.keys() >= {option.flag for option in OPTIONS if option.field in LIVE}
    assert checksum(**live) == checksum()
    assert checksum(**{"cluster-domain": "example"}) != checksum()


def test_the_configuration_is_one_that_the_node_takes() -> None:
    values = {"config": {"orphans": "report"}, "nodeName": "n1", "providerConfig": {"a": 1}}
    data = one(render(values), "ConfigMap")["data"]
    written = yaml.safe_load(data["config.yaml"])
    assert written["nodename"] == "n1" and written["orphans"] == "report"
    assert set(written) <= {option.flag for option in OPTIONS}
    assert yaml.safe_load(data["provider.yaml"]) == {"a": 1}


def test_the_network_policy_admits_who_is_named() -> None:
    policy = {"apiServers": ["10.0.0.0/28"], "scrapers": ["monitoring"]}
    spec = one(render({"networkPolicy": policy}), "NetworkPolicy")["spec"]
    assert spec["ingress"][0]["from"] == [
        {"ipBlock": {"cidr": "10.0.0.0/28"}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
    ]


def test_leases_have_a_priority_of_their_own() -> None:
    spec = one(render(), "FlowSchema", "kube-system-vk")["spec"]
    assert spec["priorityLevelConfiguration"] == {"name": "node-high"}
    (rule,) = spec["rules"]
    assert rule["resourceRules"][0]["resources"] == ["leases"]


def test_the_monitor_scrapes_the_kubelet_s_port() -> None:
    objects = render({"serviceMonitor": {"enabled": True}})
    (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    (port,) = one(objects, "Service")["spec"]["ports"]
    assert endpoint["port"] == port["name"] and endpoint["path"] == "/metrics"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"replicas": 0}, "/replicas"),
        ({"replicas": 1}, "/podDisruptionBudget/enabled"),
        ({"config": {"not-ready-on-exit": True}}, "/config/not-ready-on-exit"),
        ({"config": {"nodename": "x"}}, "/config/nodename"),
        ({"config": {"insecure-dev": True}}, "/config/insecure-dev"),
        ({"image": {"tag": "v1", "digest": "sha256:" + "0" * 64}}, "/image/tag"),
        ({"image": {"tag": ""}}, "/image/tag"),
        ({"serviceAccount": {"create": False}}, "/serviceAccount/name"),
        (
            {"references": {"everyNamespace": True, "namespaces": ["a"]}},
            "/references/namespaces",
        ),
        (
            {
                "serviceMonitor": {"enabled": True},
                "networkPolicy": {"apiServers": ["10.0.0.0/8"]},
            },
            "/networkPolicy/scrapers",
        ),
        ({"nodeName": "Not_A_Name"}, "/nodeName"),
        ({"drain": {"timeout": "soon"}}, "/drain/timeout"),
        ({"replica": 3}, "replica"),
        ({"provider": ""}, "/provider"),
    ],
)
def test_values_that_cannot_be_meant_are_refused_by_name(values: Json, named: str) -> None:
    said = refusal(values)
    assert named in said.replace(".", "/") or named in said, said
