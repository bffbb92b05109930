"""kubectl logs and top, and the node proxy, through the embedded API server and a real one."""

from __future__ import annotations

import asyncio

import orjson
import pytest
from kubectl_process import line_of
from streams_world import NODE, World, everywhere

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]


@everywhere
async def test_logs_obey_every_flag(world: World) -> None:
    kubectl = world.kubectl
    assert await kubectl("logs", "web") == "line 1\nline 2\nline 3\n"
    assert await kubectl("logs", "web", "-c", "main", "--tail=1") == "line 3\n"
    assert await kubectl("logs", "web", "--tail=0") == ""
    assert await kubectl("logs", "web", "--limit-bytes=9") == "line 1\nli"
    assert await kubectl("logs", "web", "--since=1h") == "line 1\nline 2\nline 3\n"
    assert await kubectl("logs", "web", "--since-time=2099-01-01T00:00:00Z") == ""
    assert await kubectl("logs", "-l", "name=web", "--prefix") == "".join(
        f"[pod/web/main] line {number}\n" for number in (1, 2, 3)
    )
    stamped = (await kubectl("logs", "web", "--timestamps")).splitlines()
    assert [line.split(" ", 1)[1] for line in stamped] == ["line 1", "line 2", "line 3"]
    assert all(line.split(" ")[0].endswith("Z") for line in stamped)
    previous = await kubectl("logs", "web", "--previous", code=1)
    assert "previous" in previous


@everywhere
async def test_logs_are_followed_until_the_container_ends(world: World) -> None:
    script = "echo one; until [ -e gate ]; do sleep 0.05; done; echo two"
    await world.run_pod("ending", script, restartPolicy="Never")
    async with world.kubectl.running("logs", "-f", "ending") as child:
        assert await line_of(child) == "one"
        await world.kubectl("exec", "ending", "--", "touch", "gate")
        assert await line_of(child) == "two"
        assert await line_of(child) == ""
        assert await child.wait() == 0


@everywhere
async def test_followed_logs_begin_where_the_flags_say(world: World) -> None:
    script = "echo one; echo two; until [ -e gate ]; do sleep 0.05; done; echo three"
    await world.run_pod("chosen", script, restartPolicy="Never")
    follow = ("logs", "-f", "chosen")
    async with (
        world.kubectl.running(*follow, "--tail=1") as tail,
        world.kubectl.running(*follow, "--since=1h") as since,
        world.kubectl.running(*follow, "--since=1h", "--tail=1") as both,
        world.kubectl.running(*follow, "--since-time=2099-01-01T00:00:00Z") as never,
    ):
        assert [await line_of(child) for child in (tail, since, both)] == ["two", "one", "two"]
        await world.kubectl("exec", "chosen", "--", "touch", "gate")
        ends = [(await child.communicate())[0] for child in (tail, since, both, never)]
        assert ends == [b"three\n", b"two\nthree\n", b"three\n", b""]


@everywhere
async def test_the_log_before_a_restart_is_there(world: World) -> None:
    script = "[ -e mark ] && echo second && exec sleep 1000; touch mark; echo first; exit 1"
    await world.run_pod("restarting", script, ready=False)
    count = "jsonpath={.status.containerStatuses[0].restartCount}=1"
    await world.kubectl("wait", "pod/restarting", f"--for={count}", "--timeout=25s")
    assert await world.kubectl("logs", "restarting", "--previous") == "first\n"


async def test_a_container_must_be_named_where_there_are_several(world: World) -> None:
    second = [
        {"name": name, "image": "none", "command": ["sh", "-c", f"echo {name}; exec sleep 1000"]}
        for name in ("a", "b")
    ]
    await world.run_pod("two", "", containers=second)
    text = await world.kubectl("logs", "two")
    assert text == 'a\nDefaulted container "a" out of: a, b\n'
    assert await world.kubectl("logs", "two", "-c", "b") == "b\n"
    # kubectl may ask for several at a time, so the order is not defined.
    every = await world.kubectl("logs", "two", "--all-containers")
    assert sorted(every.splitlines()) == ["a", "b"]
    prefixed = await world.kubectl("logs", "two", "--all-containers", "--prefix")
    assert sorted(prefixed.splitlines()) == ["[pod/two/a] a", "[pod/two/b] b"]
    raw = "/api/v1/namespaces/default/pods/two/log"
    refused = await world.kubectl("get", "--raw", raw, code=1)
    assert "a container name must be specified for pod two, choose one of: [a b]" in refused
    wrong = await world.kubectl("exec", "two", "-c", "x", "--", "true", code=1)
    assert "container x is not valid for pod two" in wrong


async def test_top_shows_what_nodes_and_pods_use(topped: World) -> None:
    world = topped
    fill = "x=$(head -c 20971520 /dev/zero | tr '\\0' x)"
    spin = "t=$(date +%s); until [ $(date +%s) -gt $((t + 1)) ]; do :; done"
    busy = f"{fill}; {spin}; echo full; while :; do :; done"
    await world.run_pod("busy", busy)
    async with world.kubectl.running("logs", "-f", "busy") as child:
        assert await line_of(child) == "full"
    async with asyncio.timeout(60):
        while True:  # a metrics-server has looked twice only after a while
            done = await world.kubectl.run("top", "pods", "--containers", "-l", "name=busy")
            if done.code == 0:
                break
    header, row = done.out.decode().splitlines()
    assert header.split() == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    pod, container, cpu, memory = row.split()
    assert (pod, container) == ("busy", "main")
    assert 50 < int(cpu.removesuffix("m")) < 2000
    assert 20 <= int(memory.removesuffix("Mi")) < 200
    everywhere = await world.kubectl("top", "pods", "-A")
    assert {"default", "busy", "web"} <= set(everywhere.split())
    _, node = (await world.kubectl("top", "node", NODE)).splitlines()
    name, cpu, share, memory, _ = node.split()
    assert name == NODE
    assert int(cpu.removesuffix("m")) > 0
    assert int(memory.removesuffix("Mi")) > 20
    assert share.endswith("%")
    await world.kubectl("delete", "pod", "busy", "--grace-period=0", "--force")


async def test_the_nodes_proxy_reaches_the_kubelet(world: World) -> None:
    path = "/api/v1/nodes/streams/proxy"
    assert await world.kubectl("get", "--raw", f"{path}/healthz") == "ok"
    pods = orjson.loads(await world.kubectl("get", "--raw", f"{path}/pods"))
    assert "web" in [one["metadata"]["name"] for one in pods["items"]]
    log = await world.kubectl("get", "--raw", f"{path}/containerLogs/default/web/main?tailLines=1")
    assert log == "line 3\n"
    missing = await world.kubectl("get", "--raw", f"{path}/nothing", code=1)
    assert "NotFound" in missing
