"""The emulator as a process: one line, loopback only, ends at once; and its own paths."""

import ast
import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path

import aiohttp
import attrs
import pytest
from eci_client import Client, Refused, client_of

from vk_providers.alibabacloud import emulator
from vk_providers.alibabacloud.emulator.__main__ import command
from vk_providers.alibabacloud.emulator.launch import arguments
from vk_providers.alibabacloud.emulator.server import listening

COMMAND = (sys.executable, "-m", "vk_providers.alibabacloud.emulator")
FOLDER = Path(emulator.__file__).parent


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_at_once_and_well(number: signal.Signals):
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--scheduling=0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    found = re.fullmatch(r"emulating ECI at (http://127\.0\.0\.1:\d+)\n", line)
    assert found
    async with aiohttp.ClientSession() as session:
        client = Client(found[1], session)
        id = await client.create()
        assert (await client.group(id))["Status"] == "Pending"
        process.send_signal(number)
        began = time.monotonic()
        rest, _ = await process.communicate()
    assert (process.returncode, rest) == (0, b"")
    assert time.monotonic() - began < 2


async def test_its_calls_are_in_the_ledger_and_not_in_the_log(caplog: pytest.LogCaptureFixture):
    """A person reads the log of `vk dev`, which runs it inside."""
    caplog.set_level("INFO")
    async with emulator.serve() as running, aiohttp.ClientSession() as session:
        await client_of(running, session).call("DescribeRegions")
        assert [call["action"] for call in (await running.ledger())["calls"]] == ["DescribeRegions"]
    assert caplog.records == []


@pytest.mark.slow
async def test_it_runs_in_a_process_of_its_own_with_its_settings_and_keeps_the_ledger():
    settings = emulator.EmulatorSettings(
        speed=50,
        rates=0,
        region="cn-shanghai",
        list_lag=1.5,
        hardened_metadata=False,
        exec_status=True,
        vswitches=(emulator.VSwitch(id="vsw-1", zone="cn-shanghai-b", addresses=2),),
    )
    async with emulator.start(settings) as running, aiohttp.ClientSession() as session:
        assert running.pid not in (None, os.getpid())
        assert (await running.region())["addresses"] == {"vsw-1": 2}
        client = client_of(running, session)
        await client.send(client.signed("ListUsage", {}, RegionId="cn-shanghai"))
        assert [call["action"] for call in (await running.ledger())["calls"]] == ["ListUsage"]
    assert running.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(running.pid, 0)


@pytest.mark.slow
async def test_it_ends_with_whoever_started_it():
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "--stop-at-eof",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    await process.stdout.readline()
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 5) == 0


def test_every_setting_is_an_option():
    changed = emulator.EmulatorSettings(
        speed=2,
        rates=3,
        access_key_id="a",
        access_key_secret="b",
        account="1",
        role="r",
        region="x",
        vpc="v",
        security_group="sg-1",
        quota_cpu=4,
        list_lag=5,
        scheduling=6,
        image_pull=7,
        image_pull_cached=8,
        exec_status=True,
        hardened_metadata=False,
        skew=-10,
        seed=9,
        vswitches=(
            emulator.VSwitch(id="vsw-1", zone="x-a", cidr="10.0.0.0/24"),
            emulator.VSwitch(id="vsw-2", zone="x-b", cidr="10.1.0.0/24", addresses=3),
        ),
    )
    usual = emulator.EmulatorSettings()
    same = [
        f.name
        for f in attrs.fields(emulator.EmulatorSettings)
        if getattr(changed, f.name) == getattr(usual, f.name)
    ]
    assert same == []
    values = command.make_context("emulator", list(arguments(changed))).params
    del values["port"], values["stop_at_eof"]
    assert emulator.EmulatorSettings(**values) == changed


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--speed=0"], "speed: expected a number above 0, found 0"),
        (["--speed=x"], "'x' is not a valid float"),
        (["--port=99999"], "99999 is not in the range"),
        (["--vswitch=one"], "expected ID:ZONE[:CIDR[:ADDRESSES]], found 'one'"),
        (["--list-lag=-1"], "list_lag: expected a number from 0 on"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    options: list[str], error: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ended:
        command.main(options, prog_name="emulator")
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code in (1, 2)
    assert error in lines[-1]


@pytest.mark.looptime
async def test_simulated_time_of_the_loop_is_the_emulators():
    async with listening(emulator.EmulatorSettings()) as server:
        before = server.cloud.timeline.now()
        await asyncio.sleep(86_400)
        assert server.cloud.timeline.now() - before == pytest.approx(86_400)


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.name)
def test_it_knows_nothing_of_the_provider(path: Path):
    tree = ast.parse(path.read_text())
    modules = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [n.name for n in node.names]
        )
    }
    ours = {name for name in modules if name.startswith(("vk", "aliyun"))}
    shared = {"vk_providers.alibabacloud.api_description"}  # the vendor's words, not ours
    assert all(name.startswith("vk_providers.alibabacloud.emulator") for name in ours - shared)


async def test_stock_addresses_and_quota_are_set_while_it_runs(
    running: emulator.RunningEmulator, client: Client
):
    await running.set_region(
        stock={"cn-hangzhou-h": 0}, addresses={"vsw-emulator-i": 0}, quota_cpu=2
    )
    region = await running.region()
    assert (region["stock"], region["quota_cpu"]) == ({"cn-hangzhou-h": 0}, 2)
    with pytest.raises(Refused, match="IpNotEnough"):
        await client.create(VSwitchId="vsw-emulator-i")
    with pytest.raises(Refused, match="QuotaExceeded"):
        await client.create(Cpu=4)
    await running.set_region(stock={"cn-hangzhou-h": None}, addresses={"vsw-emulator-i": None})
    await client.create(VSwitchId="vsw-emulator-i")


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"stocks": {}}, "stocks: expected one of stock, addresses, quota_cpu"),
        ({"stock": {"nowhere": 1}}, "stock.nowhere: expected one of cn-hangzhou-h"),
        ({"stock": {"cn-hangzhou-h": -1}}, "stock.cn-hangzhou-h: expected a number from 0 on"),
        ({"addresses": 1}, "addresses: expected an object"),
        ({"quota_cpu": "2"}, "quota_cpu: expected a number from 0 on, or null, found '2'"),
    ],
)
async def test_a_wrong_region_is_refused_whole(
    running: emulator.RunningEmulator, changes: dict[str, object], error: str
):
    before = await running.region()
    with pytest.raises(ValueError, match=re.escape(error)):
        await running.set_region(addresses={}, **changes) if "addresses" not in changes else (
            await running.set_region(**changes)
        )
    assert await running.region() == before


async def test_somebody_else_can_delete_and_the_service_can_reclaim(
    running: emulator.RunningEmulator, client: Client
):
    spot = await client.create(SpotStrategy="SpotAsPriceGo")
    await running.reclaim(spot)
    while (await client.group(spot))["Status"] != "Expired":
        continue
    other = await client.create()
    with pytest.raises(ValueError, match="expected a spot group"):
        await running.reclaim(other)
    await running.delete(other)
    with pytest.raises(ValueError, match="does not exist"):
        await running.delete(other)
    with pytest.raises(ValueError, match="eci-"):
        await running.delete("other")
    calls = (await running.ledger())["calls"]
    assert "DeleteContainerGroup" not in {call["action"] for call in calls}


async def test_an_unknown_path_lists_the_known_ones(
    running: emulator.RunningEmulator, client: Client
):
    async with client.session.get(f"{running.url}/emulator/log") as response:
        assert response.status == 404
        assert "GET /emulator/ledger" in (await response.json())["error"]
    async with client.session.get(f"{running.url}/other") as response:
        assert response.status == 404
