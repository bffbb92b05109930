"""`vk doctor` against an embedded cluster: what a person sees, before there is a node."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from plugin_files import write

from vk.cli.checks import ClusterChecks
from vk.cli.main import command
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.devcluster.cluster import DevCluster
from vk.settings import Settings

pytestmark = pytest.mark.slow

CHECKING = """
import vk


class Checking(vk.Provider):
    async def describe_node(self): return vk.NodeInfo(capacity={})
    async def create_pod(self, pod): return None
    async def delete_pod(self, key, *, grace_period): return None
    async def list_pods(self): return []

    async def checks(self):
        yield vk.Check("quota", True, "8 of 20 vCPU are free")
        yield vk.Check("vSwitch", False, "0 addresses are free", "name one more")
        try:
            self.context.check_lease()
        except vk.TemporaryError as error:
            yield vk.Check("lease", True, str(error))
        raise RuntimeError("password=hunter2")


@vk.hookimpl
def vk_register_providers(register):
    register("checking", Checking)
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed provider with checks of its own."""
    write(tmp_path, "vkt-checking", code=CHECKING)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("vkt_checking", None)


async def run(*arguments: str) -> Result:
    """Run ``vk doctor``; it has a loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, command, ["doctor", *arguments])


async def test_each_permission_is_a_line_and_a_loopback_address_is_a_failure(
    dev_cluster: DevCluster,
) -> None:
    """An address that only this machine reaches is said with the variable that changes it."""
    flags = ("--provider", "mock", "--nodename", "n1", "--kubeconfig", str(dev_cluster.kubeconfig))
    result = await run(*flags)
    lines = result.output.splitlines()
    assert "ok    may get, update leases in kube-node-lease: and renewed" in lines
    assert "ok    clock: agrees with the API server's" in lines
    (address,) = [line for line in lines if "address:" in line]
    assert address.startswith("FAIL") and "there is no node n1 yet" in address
    assert "VKUBELET_POD_IP" in result.output
    assert result.exit_code == 1


async def test_who_may_nothing_is_told_which_roles_to_apply(dev_cluster: DevCluster) -> None:
    stranger = dev_cluster.kubeconfig_for("stranger")
    result = await run("--provider", "mock", "--kubeconfig", str(stranger), "--json")
    checks = {one["name"]: one for one in json.loads(result.output)}
    assert checks["API server"]["ok"] is False
    assert 'cannot get resource "namespaces"' in checks["API server"]["text"]
    assert "vk rbac" in checks["API server"]["advice"]
    assert result.exit_code == 1


async def test_what_the_provider_checks_is_shown_and_its_crash_hides_nothing(
    dev_cluster: DevCluster, plugin: None
) -> None:
    """Not even its text: it may hold a secret."""
    result = await run("--provider", "checking", "--kubeconfig", str(dev_cluster.kubeconfig))
    lines = result.output.splitlines()
    assert "ok    quota: 8 of 20 vCPU are free" in lines
    assert "FAIL  vSwitch: 0 addresses are free" in lines
    assert "      -> name one more" in lines
    assert "ok    lease: vk doctor holds no lease and changes nothing" in lines
    assert "FAIL  provider: its checks failed: RuntimeError" in lines
    assert "hunter2" not in result.output


async def test_a_wrong_provider_configuration_is_one_of_the_checks(
    dev_cluster: DevCluster,
) -> None:
    flags = ("--provider", "mock", "--set", "nosuch=1", "--kubeconfig", str(dev_cluster.kubeconfig))
    result = await run(*flags)
    assert "FAIL  configuration: --set: unknown key 'nosuch'" in result.output


async def test_an_address_of_another_machine_is_a_failure(dev_cluster: DevCluster) -> None:
    settings = Settings(provider="mock", internal_ip="192.0.2.1")
    access = await load_access(str(dev_cluster.kubeconfig))
    async with Client(access, user_agent="test") as client:
        check = await ClusterChecks(client, settings).address()
    assert not check.ok and "192.0.2.1, which is no address of this machine" in check.text


def test_a_kubeconfig_that_is_not_there_is_a_line_with_advice(tmp_path: Path) -> None:
    flags = ["doctor", "--provider", "mock", "--kubeconfig", str(tmp_path / "none")]
    result = CliRunner().invoke(command, flags)
    assert result.exit_code == 1
    assert "FAIL  kubeconfig: " in result.output and "does not exist" in result.output


def test_what_the_provider_checks_is_shown_without_a_cluster_too(
    tmp_path: Path, plugin: None
) -> None:
    """An account can be set up before there is a kubeconfig."""
    flags = ["doctor", "--provider", "checking", "--kubeconfig", str(tmp_path / "none")]
    result = CliRunner().invoke(command, flags)
    assert "FAIL  kubeconfig: " in result.output
    assert "ok    quota: 8 of 20 vCPU are free" in result.output
    assert result.exit_code == 1


def test_flags_may_stand_before_the_command_as_those_of_the_node_do(tmp_path: Path) -> None:
    flags = ["--provider", "mock", "--kubeconfig", str(tmp_path / "none"), "doctor"]
    assert "FAIL  kubeconfig: " in CliRunner().invoke(command, flags).output
