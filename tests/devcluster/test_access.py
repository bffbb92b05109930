"""Who may do what: certificates, tokens, RBAC, impersonation and the reviews."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from cluster_api import CONFIG_MAPS, MERGE, NAMESPACES, PODS, Api, Object, api_of, config_map, pod

from vk.devcluster.cluster import DevCluster
from vk.errors import ConfigError

ROLES = "/apis/rbac.authorization.k8s.io/v1"
ACCOUNTS = f"{NAMESPACES}/default/serviceaccounts"


def rule(resources: str, verbs: str, group: str = "", **more: Any) -> Object:
    return {
        "apiGroups": [group],
        "resources": resources.split(),
        "verbs": verbs.split(),
        **more,
    }


async def grant(api: Api, subject: Object, *rules: Object, everywhere: bool = False) -> None:
    """Grant a subject rules in the namespace default, or in the whole cluster."""
    kind, path = ("Role", f"{ROLES}/namespaces/default/roles")
    if everywhere:
        kind, path = ("ClusterRole", f"{ROLES}/clusterroles")
    await api.ok("POST", path, {"metadata": {"name": "granted"}, "rules": list(rules)})
    binding = {
        "metadata": {"name": "granted"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "granted"},
        "subjects": [subject],
    }
    await api.ok("POST", path.replace("roles", "rolebindings"), binding)


def user(name: str) -> Object:
    return {"kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io"}


async def test_a_certificate_names_the_user_and_its_groups(dev_cluster: DevCluster) -> None:
    kubeconfig = dev_cluster.kubeconfig_for("system:node:n1", ["system:nodes", "team"])
    assert kubeconfig.stat().st_mode & 0o777 == 0o600
    async with api_of(dev_cluster, kubeconfig) as api:
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        answer = await api.ok("POST", path, {})
    assert answer["status"]["userInfo"] == {
        "username": "system:node:n1",
        "groups": ["system:nodes", "team", "system:authenticated"],
    }


async def test_without_credentials_one_sees_that_the_server_is_well_and_no_more(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(orjson.dumps({"users": [{"user": {}}]}))
    async with api_of(dev_cluster, stranger) as api:
        assert (await api("GET", "/readyz")).status == 200
        assert (await api("GET", "/version")).status == 200
        reply = await api("GET", PODS)
        assert (reply.status, reply.body["reason"]) == (403, "Forbidden")
        assert reply.body["message"] == (
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" in API group '
            '"" in the namespace "default"'
        )
        reply = await api("GET", "/api/v1")
        assert reply.body["message"] == (
            'forbidden: User "system:anonymous" cannot get path "/api/v1"'
        )
        for bad in ("Bearer nonsense", "Bearer a.b.c", "Basic abc"):
            assert (await api("GET", PODS, headers={"Authorization": bad})).status == 401


async def test_a_certificate_of_somebody_else_is_refused(
    dev_cluster: DevCluster, tmp_path: Path
) -> None:
    async with (
        DevCluster(tmp_path / "other") as other,
        api_of(dev_cluster, other.kubeconfig) as stranger,
    ):
        with pytest.raises(aiohttp.ClientError):
            await stranger("GET", "/readyz")


async def test_a_role_counts_in_its_namespace_until_it_is_taken(
    dev_cluster: DevCluster, api: Api
) -> None:
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("jane")) as jane:
        assert (await jane("GET", PODS)).status == 403
        await grant(api, user("jane"), rule("pods", "get list create"))
        assert (await jane("GET", PODS)).status == 200
        assert (await jane("POST", PODS, pod("a"))).status == 201
        assert (await jane("DELETE", f"{PODS}/a")).status == 403
        assert (await jane("GET", f"{PODS}/a/status")).status == 403
        assert (await jane("GET", f"{NAMESPACES}/kube-system/pods")).status == 403
        assert (await jane("GET", "/api/v1/pods")).status == 403
        await api.ok("DELETE", f"{ROLES}/namespaces/default/rolebindings/granted")
        assert (await jane("GET", PODS)).status == 403


async def test_a_cluster_role_counts_everywhere_and_names_narrow_it(
    dev_cluster: DevCluster, api: Api
) -> None:
    rules = rule("configmaps", "get update", resourceNames=["kube-root-ca.crt"])
    parts = rule("*/status", "patch")
    await grant(api, {"kind": "Group", "name": "team"}, rules, parts, everywhere=True)
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("joe", ["team"])) as joe:
        for namespace in ("default", "kube-system"):
            path = f"{NAMESPACES}/{namespace}/configmaps"
            assert (await joe("GET", f"{path}/kube-root-ca.crt")).status == 200
            assert (await joe("GET", f"{path}/other")).status == 403
            assert (await joe("GET", path)).status == 403
        await api.ok("POST", PODS, pod("a"))
        assert (await joe("PATCH", f"{PODS}/a/status", {}, form=MERGE)).status == 200


async def test_a_right_to_patch_alone_creates_nothing_by_apply(
    dev_cluster: DevCluster, api: Api
) -> None:
    await grant(api, user("jane"), rule("configmaps", "patch"))
    path, form = f"{CONFIG_MAPS}/a?fieldManager=me", "application/apply-patch+yaml"
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("jane")) as jane:
        assert (await jane("PATCH", path, config_map("a"), form=form)).status == 403
        await api.ok("POST", CONFIG_MAPS, config_map("a"))
        assert (await jane("PATCH", path, config_map("a"), form=form)).status == 200


async def test_the_groups_of_nodes_and_of_the_scheduler_have_their_rights(
    dev_cluster: DevCluster, api: Api
) -> None:
    await api.ok("POST", PODS, pod("a"))
    node = dev_cluster.kubeconfig_for("system:node:n1", ["system:nodes"])
    scheduler = dev_cluster.kubeconfig_for("system:kube-scheduler")
    binding = {"target": {"kind": "Node", "name": "n1"}}
    async with api_of(dev_cluster, scheduler) as client:
        assert (await client("POST", f"{PODS}/a/binding", binding)).status == 201
        assert (await client("GET", "/api/v1/secrets")).status == 403
    async with api_of(dev_cluster, node) as client:
        body = {"status": {"phase": "Running"}}
        assert (await client("PATCH", f"{PODS}/a/status", body, form=MERGE)).status == 200
        assert (await client("POST", CONFIG_MAPS, config_map("x"))).status == 403


async def test_a_service_account_s_token_carries_its_rights(
    dev_cluster: DevCluster, api: Api
) -> None:
    await api.ok("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
    await grant(api, {"kind": "ServiceAccount", "name": "robot", "namespace": "default"},
                rule("pods", "list"))  # fmt: skip
    kubeconfig = dev_cluster.service_account_kubeconfig("default", "robot")
    async with api_of(dev_cluster, kubeconfig) as robot:
        assert (await robot("GET", PODS)).status == 200
        assert (await robot("GET", CONFIG_MAPS)).status == 403
        await api.ok("DELETE", f"{ACCOUNTS}/robot")
        assert (await robot("GET", PODS)).status == 401
    with pytest.raises(ConfigError, match="no service account default/robot"):
        dev_cluster.service_account_kubeconfig("default", "robot")


async def review(api: Api, token: str, *audiences: str) -> Object:
    body = {"spec": {"token": token, "audiences": list(audiences)}}
    answer = await api.ok("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
    status: Object = answer["status"]
    return status


async def test_a_requested_token_is_for_its_audience_and_bound_to_its_pod(api: Api) -> None:
    created = await api.ok("POST", PODS, pod("a"))
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "a"}
    spec = {"audiences": ["vault"], "expirationSeconds": 3000, "boundObjectRef": reference}
    answer = await api("POST", f"{ACCOUNTS}/default/token", {"spec": spec})
    assert (answer.status, answer.body["kind"]) == (201, "TokenRequest")
    assert answer.body["status"]["expirationTimestamp"] > created["metadata"]["creationTimestamp"]
    token = answer.body["status"]["token"]
    claims = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert (claims["sub"], claims["aud"]) == ("system:serviceaccount:default:default", ["vault"])
    assert claims["kubernetes.io"]["pod"] == {"name": "a", "uid": created["metadata"]["uid"]}
    status = await review(api, token, "vault", "other")
    assert (status["authenticated"], status["audiences"]) == (True, ["vault"])
    extra = status["user"]["extra"]
    assert extra["authentication.kubernetes.io/pod-name"] == ["a"]
    assert status["user"]["groups"] == [
        "system:serviceaccounts",
        "system:serviceaccounts:default",
        "system:authenticated",
    ]
    assert "authenticated" not in await review(api, token, "other")
    assert (await api("GET", PODS, headers={"Authorization": f"Bearer {token}"})).status == 200
    await api.ok("DELETE", f"{PODS}/a")
    assert "authenticated" not in await review(api, token, "vault")


@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"expirationSeconds": 10}, 422),
        ({"expirationSeconds": 2**40}, 422),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "none"}}, 404),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "a", "uid": "x"}}, 409),
        ({"boundObjectRef": {"kind": "Thing", "apiVersion": "v1", "name": "a"}}, 400),
        ({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "other"}}, 400),
    ],
)
async def test_a_token_that_cannot_be_is_refused(api: Api, spec: Object, status: int) -> None:
    await api.ok("POST", ACCOUNTS, {"metadata": {"name": "robot"}})
    await api.ok("POST", PODS, pod("a"))
    await api.ok("POST", PODS, pod("other", serviceAccountName="robot"))
    assert (await api("POST", f"{ACCOUNTS}/default/token", {"spec": spec})).status == status
    assert (await api("POST", f"{ACCOUNTS}/none/token", {"spec": {}})).status == 404


async def test_a_token_that_was_tampered_with_is_stranger_s(api: Api) -> None:
    answer = await api.ok("POST", f"{ACCOUNTS}/default/token", {"spec": {}})
    head, claims, signature = answer["status"]["token"].split(".")
    changed = orjson.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["sub"] = "system:serviceaccount:kube-system:default"
    forged = base64.urlsafe_b64encode(orjson.dumps(changed)).decode().rstrip("=")
    status = await review(api, f"{head}.{forged}.{signature}")
    assert "authenticated" not in status
    assert status["user"] == {}


async def allowed(api: Api, body: Object, *, of_self: bool = False) -> bool:
    plural = "selfsubjectaccessreviews" if of_self else "subjectaccessreviews"
    answer = await api.ok("POST", f"/apis/authorization.k8s.io/v1/{plural}", {"spec": body})
    decision: bool = answer["status"]["allowed"]
    return decision


async def test_access_reviews_say_what_a_request_would_meet(
    dev_cluster: DevCluster, api: Api
) -> None:
    await grant(api, user("jane"), rule("pods", "list"))
    listing = {"verb": "list", "resource": "pods", "namespace": "default"}
    assert await allowed(api, {"user": "jane", "resourceAttributes": listing})
    for other in ({"verb": "delete"}, {"namespace": "kube-system"}, {"subresource": "log"}):
        wanted = {"user": "jane", "resourceAttributes": {**listing, **other}}
        assert not await allowed(api, wanted)
    path = {"verb": "get", "path": "/healthz"}
    groups = ["system:authenticated"]
    assert await allowed(api, {"user": "x", "groups": groups, "nonResourceAttributes": path})
    assert not await allowed(api, {"user": "x", "nonResourceAttributes": path})
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("jane")) as jane:
        assert await allowed(jane, {"resourceAttributes": listing}, of_self=True)
        own = {"resourceAttributes": {**listing, "verb": "delete"}}
        assert not await allowed(jane, own, of_self=True)


async def test_a_review_about_nothing_is_invalid(api: Api) -> None:
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert (await api("POST", path, {"spec": {}})).status == 422


async def test_an_administrator_may_act_as_somebody_else(dev_cluster: DevCluster, api: Api) -> None:
    await grant(api, {"kind": "Group", "name": "team"}, rule("pods", "list"))
    joe = {"Impersonate-User": "joe", "Impersonate-Group": "team"}
    assert (await api("GET", PODS, headers=joe)).status == 200
    assert (await api("GET", PODS, headers={"Impersonate-User": "joe"})).status == 403
    robot = {"Impersonate-User": "system:serviceaccount:default:robot"}
    assert (await api("GET", PODS, headers=robot)).status == 403
    async with api_of(dev_cluster, dev_cluster.kubeconfig_for("jane")) as jane:
        reply = await jane("GET", PODS, headers=joe)
        assert reply.status == 403
        assert 'cannot impersonate resource "users"' in reply.body["message"]
