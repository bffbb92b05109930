"""The cluster as a whole: its folder, its port, what it starts with, and its end."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from cluster_api import CONFIG_MAPS, NAMESPACES, Api, api_of, config_map

from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.cluster.resources import PODS
from vk.devcluster.cluster import DevCluster
from vk.errors import ConfigError


async def test_a_new_cluster_has_what_nodes_look_for(api: Api) -> None:
    namespaces = await api.ok("GET", NAMESPACES)
    names = [one["metadata"]["name"] for one in namespaces["items"]]
    assert names == ["default", "kube-node-lease", "kube-public", "kube-system"]
    kubernetes = await api.ok("GET", f"{NAMESPACES}/default/services/kubernetes")
    assert kubernetes["spec"]["clusterIP"] == "10.96.0.1"
    dns = await api.ok("GET", f"{NAMESPACES}/kube-system/services/kube-dns")
    assert dns["spec"]["clusterIP"] == "10.96.0.10"
    path = f"{NAMESPACES}/kube-system/configmaps/extension-apiserver-authentication"
    trust = await api.ok("GET", path)
    assert "BEGIN CERTIFICATE" in trust["data"]["client-ca-file"]


async def test_a_folder_holds_one_cluster_at_a_time(tmp_path: Path) -> None:
    async with DevCluster(tmp_path):
        with pytest.raises(ConfigError) as refused:
            async with DevCluster(tmp_path):
                pass
        assert str(refused.value) == f"another cluster uses the folder {tmp_path}"
    async with DevCluster(tmp_path) as cluster, api_of(cluster) as api:
        assert (await api("GET", "/readyz")).status == 200


async def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            async with DevCluster(tmp_path, port=port):
                pass
    assert str(refused.value) == f"port {port} on 127.0.0.1 is in use by another program"
    async with DevCluster(tmp_path) as cluster:  # nothing is left of the failed attempt
        assert cluster.url == f"https://127.0.0.1:{cluster.port}"


async def test_a_cluster_serves_on_the_port_it_is_given_and_frees_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    for _ in range(2):
        async with DevCluster(tmp_path, port=port) as cluster, api_of(cluster) as api:
            assert cluster.url == f"https://127.0.0.1:{port}"
            await api.ok("POST", CONFIG_MAPS, config_map("a"))  # the last one's is gone


async def test_two_clusters_run_beside_each_other(tmp_path: Path) -> None:
    async with (
        DevCluster(tmp_path / "one") as one,
        DevCluster(tmp_path / "two") as two,
        api_of(one) as first,
        api_of(two) as second,
    ):
        await first.ok("POST", CONFIG_MAPS, config_map("a"))
        assert (await second("GET", f"{CONFIG_MAPS}/a")).status == 404


async def test_open_watches_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with (
        DevCluster(tmp_path) as cluster,
        api_of(cluster) as api,
        api.watch(f"{CONFIG_MAPS}?watch=1") as watch,
    ):
        await watch.next()
        async with asyncio.timeout(2):
            await cluster.__aexit__(None, None, None)


async def test_the_project_s_own_client_lists_and_watches_it(dev_cluster: DevCluster) -> None:
    access = read_access(dev_cluster.kubeconfig)
    async with Client(access, user_agent="test") as client:
        listing = await client.list(PODS)
        assert listing.items == []
        body = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        created = await client.create(PODS, body, namespace="default")
        changes = client.watch(PODS, resource_version=listing.resource_version)
        kind, seen = await anext(aiter(changes))
        assert (kind, seen["metadata"]["uid"]) == ("ADDED", created["metadata"]["uid"])


async def test_a_planted_folder_is_refused_and_nothing_is_written_there(tmp_path: Path) -> None:
    """Another user can be there first: with a link, an open folder, or a folder of their own."""
    theirs, folder = tmp_path / "theirs", tmp_path / "dev"
    theirs.mkdir(mode=0o700)
    folder.symlink_to(theirs)
    assert await refusal(folder) == f"{folder}: expected a folder, not a link or a file"
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    assert await refusal(folder) == f"{folder} holds keys: expected mode 0700, not 0777"
    if os.getuid() == 0:
        folder.chmod(0o700)
        os.chown(folder, 12345, 12345)
        assert await refusal(folder) == f"{folder} belongs to another user"
    assert [*theirs.iterdir(), *folder.iterdir()] == []


@pytest.mark.parametrize("name", ["admin.key", "admin.kubeconfig", "ca.key", "lock", "server.key"])
async def test_no_key_goes_through_a_planted_link(tmp_path: Path, name: str) -> None:
    folder, theirs = tmp_path / "dev", tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    theirs.write_text("")
    (folder / name).symlink_to(theirs)
    told = f"{folder / name}: expected a file of this user, not a link"
    assert (await refusal(folder)).startswith(told)
    assert theirs.read_text() == ""


async def refusal(folder: Path) -> str:
    """Return why an embedded cluster does not use a folder."""
    with pytest.raises(ConfigError) as caught:
        async with DevCluster(folder):
            pass
    return str(caught.value)


async def test_only_its_owner_can_read_the_files_of_a_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "dev"
    async with DevCluster(folder) as cluster:
        cluster.kubeconfig_for("someone")
        modes = {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}
    assert modes.pop("dev") == 0o700
    assert len(modes) > 8 and {*modes.values()} == {0o600}
