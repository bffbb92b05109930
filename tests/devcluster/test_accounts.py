"""Service accounts: what a namespace and a pod get, and what a pod may not ask for."""

from __future__ import annotations

import pytest
from cluster_api import NAMESPACES, PODS, Api, pod

from vk.devcluster.cluster import DevCluster

ACCOUNTS = f"{NAMESPACES}/default/serviceaccounts"
TOKEN_PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"


async def test_a_new_namespace_has_an_account_and_the_root_certificate(
    dev_cluster: DevCluster, api: Api
) -> None:
    await api.ok("POST", NAMESPACES, {"metadata": {"name": "team"}})
    account = await api.ok("GET", f"{NAMESPACES}/team/serviceaccounts/default")
    assert account["metadata"]["uid"]
    root = await api.ok("GET", f"{NAMESPACES}/team/configmaps/kube-root-ca.crt")
    assert root["data"]["ca.crt"] == dev_cluster.certificate_authority.read_text()


@pytest.mark.parametrize("path", ["serviceaccounts/default", "configmaps/kube-root-ca.crt"])
async def test_what_every_namespace_has_comes_back(api: Api, path: str) -> None:
    path = f"{NAMESPACES}/default/{path}"
    before = await api.ok("GET", path)
    await api.ok("DELETE", path)
    after = await api.ok("GET", path)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_a_pod_gets_the_token_of_its_account_as_a_volume(api: Api) -> None:
    created = await api.ok("POST", PODS, pod("a", initContainers=[{"name": "i", "image": "b:1"}]))
    spec = created["spec"]
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert volume["projected"]["defaultMode"] == 420
    token, root, downward = volume["projected"]["sources"]
    assert token == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
    assert root["configMap"]["name"] == "kube-root-ca.crt"
    assert downward["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"] == "metadata.namespace"
    mount = {"name": volume["name"], "readOnly": True, "mountPath": TOKEN_PLACE}
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["volumeMounts"] == [mount]


async def test_what_the_server_adds_belongs_to_nobody(api: Api) -> None:
    created = await api.ok("POST", f"{PODS}?fieldManager=me", pod("a"))
    (entry,) = created["metadata"]["managedFields"]
    assert entry["manager"] == "me"
    fields = entry["fieldsV1"]["f:spec"]
    assert "f:restartPolicy" in fields
    for added in ("f:volumes", "f:serviceAccountName", "f:tolerations", "f:priority"):
        assert added not in fields


async def test_no_token_where_pod_or_account_do_not_want_one(api: Api) -> None:
    unmounted = await api.ok("POST", PODS, pod("a", automountServiceAccountToken=False))
    assert "volumes" not in unmounted["spec"]
    quiet = {"metadata": {"name": "quiet"}, "automountServiceAccountToken": False}
    await api.ok("POST", ACCOUNTS, quiet)
    unmounted = await api.ok("POST", PODS, pod("b", serviceAccountName="quiet"))
    assert "volumes" not in unmounted["spec"]
    wish = pod("c", serviceAccountName="quiet", automountServiceAccountToken=True)
    assert (await api.ok("POST", PODS, wish))["spec"]["volumes"]


async def test_a_mount_at_the_token_s_place_is_left_alone(api: Api) -> None:
    mount = {"name": "own", "mountPath": TOKEN_PLACE}
    container = {"name": "main", "image": "app:1", "volumeMounts": [mount]}
    body = pod("a", containers=[container], volumes=[{"name": "own", "emptyDir": {}}])
    spec = (await api.ok("POST", PODS, body))["spec"]
    assert [volume["name"] for volume in spec["volumes"]] == ["own"]


async def test_a_pod_without_pull_secrets_gets_those_of_its_account(api: Api) -> None:
    account = {"metadata": {"name": "puller"}, "imagePullSecrets": [{"name": "registry"}]}
    await api.ok("POST", ACCOUNTS, account)
    created = await api.ok("POST", PODS, pod("a", serviceAccountName="puller"))
    assert created["spec"]["imagePullSecrets"] == [{"name": "registry"}]
    own = pod("b", serviceAccountName="puller", imagePullSecrets=[{"name": "own"}])
    created = await api.ok("POST", PODS, own)
    assert created["spec"]["imagePullSecrets"] == [{"name": "own"}]


async def test_a_pod_of_an_account_that_is_not_there_is_forbidden(api: Api) -> None:
    reply = await api("POST", PODS, pod("a", serviceAccountName="ghost"))
    assert (reply.status, reply.body["reason"]) == (403, "Forbidden")
    assert reply.body["message"] == (
        'pods "a" is forbidden: error looking up service account default/ghost: serviceaccount '
        '"ghost" not found'
    )
