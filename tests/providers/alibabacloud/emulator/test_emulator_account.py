"""Tokens, rates, quota, stock, addresses: limits of the account and their errors."""

import pytest
from eci_client import Refused
from simulated import Simulation

from vk_providers.alibabacloud.emulator.settings import EmulatorSettings, VSwitch
from vk_providers.alibabacloud.emulator.throttling import RATES


def test_a_token_makes_one_group_however_often_it_comes(simulation: Simulation):
    first = simulation.create(ClientToken="t-0")
    assert simulation.create(ClientToken="t-0") == first
    assert simulation.create(ClientToken="t-1") != first
    assert len(simulation.ids()) == 2


def test_a_token_with_other_parameters_is_a_mismatch(simulation: Simulation):
    simulation.create(ClientToken="t-0")
    with pytest.raises(Refused, match="400 IdempotentParameterMismatch"):
        simulation.create(ClientToken="t-0", Cpu=4)
    assert len(simulation.ids()) == 1


def test_a_token_leads_to_its_group_even_when_that_is_gone(simulation: Simulation):
    id = simulation.create(ClientToken="t-0")
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    assert simulation.create(ClientToken="t-0") == id
    assert simulation.ids() == []


def test_a_refused_create_does_not_use_its_token_up(simulation: Simulation):
    simulation.faults({"kind": "no_stock", "count": 1})
    with pytest.raises(Refused, match=r"403 OperationDenied\.NoStock"):
        simulation.create(ClientToken="t-0")
    simulation.create(ClientToken="t-0")


def test_a_token_is_forgotten_after_a_day(simulation: Simulation):
    first = simulation.create(ClientToken="t-0")
    simulation.pass_time(86_401)
    assert simulation.create(ClientToken="t-0") != first


def test_a_delete_can_be_repeated_with_its_token(simulation: Simulation):
    id = simulation.create()
    for _ in range(2):
        simulation.call("DeleteContainerGroup", ContainerGroupId=id, ClientToken="d")


def test_creates_are_a_hundred_at_once_and_then_twenty_a_second():
    simulation = Simulation(EmulatorSettings(speed=10))
    for number in range(100):
        simulation.create(uid=f"u{number}")
    with pytest.raises(Refused, match="400 Throttling"):
        simulation.create()
    simulation.pass_time(1)
    for number in range(20):
        simulation.create(uid=f"v{number}")
    with pytest.raises(Refused, match="400 Throttling"):
        simulation.create()
    assert len(simulation.ledger()["groups"]) == 120


@pytest.mark.parametrize(
    ("action", "parameters"),
    [
        ("ExecContainerCommand", {}),
        ("DescribeMultiContainerGroupMetric", {"ContainerGroupIds": '["eci-x"]'}),
        ("DescribeContainerGroups", {}),
    ],
)
def test_the_other_rates_are_a_minutes_calls(action: str, parameters: dict[str, str]):
    simulation = Simulation(EmulatorSettings(rates=0.01))
    allowed = int(RATES[action][0] * 0.01)

    def code() -> str:
        try:
            simulation.call(action, **parameters)
        except Refused as refusal:
            return str(refusal.code)
        return ""

    assert "Throttling" not in [code() for _ in range(allowed)]
    assert code() == "Throttling"
    simulation.pass_time(60)
    assert "Throttling" not in [code() for _ in range(allowed)]


def test_actions_do_not_share_their_rate():
    simulation = Simulation(EmulatorSettings(rates=0.01))
    id = simulation.create()
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    with pytest.raises(Refused, match="Throttling"):
        simulation.create()


def test_the_quota_is_counted_while_groups_live():
    simulation = Simulation(EmulatorSettings(rates=0, quota_cpu=4))
    simulation.create("sleep", "10", RestartPolicy="Never", Cpu=2, Memory=4)
    usage = simulation.call("ListUsage")["Attributes"]
    assert usage == {"MaxCpu": "4", "UsedCpu": "2"}
    with pytest.raises(Refused, match="403 QuotaExceeded"):
        simulation.create(Cpu=4, Memory=8)
    simulation.pass_time(30)
    simulation.create(Cpu=4, Memory=8)


def test_the_next_vswitch_is_taken_where_one_is_full():
    full = VSwitch(id="vsw-1", zone="cn-hangzhou-h", addresses=1)
    other = VSwitch(id="vsw-2", zone="cn-hangzhou-i", cidr="172.17.0.0/24")
    simulation = Simulation(EmulatorSettings(rates=0, vswitches=(full, other)))
    both = {"VSwitchId": "vsw-1,vsw-2"}
    zones = [simulation.row(simulation.create(**both))["ZoneId"] for _ in range(2)]
    assert zones == ["cn-hangzhou-h", "cn-hangzhou-i"]
    with pytest.raises(Refused, match=r"403 InvalidVSwitchId\.IpNotEnough"):
        simulation.create(VSwitchId="vsw-1")


def test_a_deleted_group_gives_its_address_back():
    one = VSwitch(id="vsw-1", zone="cn-hangzhou-h", addresses=1)
    simulation = Simulation(EmulatorSettings(rates=0, vswitches=(one,)))
    id = simulation.create()
    simulation.call("DeleteContainerGroup", ContainerGroupId=id)
    simulation.create()


def test_the_vpc_returns_zones_and_free_addresses(simulation: Simulation):
    simulation.create()
    answer = simulation.call("DescribeVSwitches", "2016-04-28", VSwitchId="vsw-emulator-h")
    (row,) = answer["VSwitches"]["VSwitch"]
    assert row["ZoneId"] == "cn-hangzhou-h"
    assert row["AvailableIpAddressCount"] == 2**14 - 5


def test_a_private_address_is_taken_once(simulation: Simulation):
    id = simulation.create(PrivateIpAddress="172.16.0.77")
    with pytest.raises(Refused, match=r"400 PrivateIpAddress\.Already\.InUse"):
        simulation.create(PrivateIpAddress="172.16.0.77")
    simulation.pass_time(2)
    assert simulation.row(id)["IntranetIp"] == "172.16.0.77"


def test_a_zone_without_stock_is_skipped_or_fails_the_group(simulation: Simulation):
    simulation.cloud.region.stock = {"cn-hangzhou-h": 2}
    first = simulation.create(Cpu=2, Memory=4)
    both = {"VSwitchId": "vsw-emulator-h,vsw-emulator-i"}
    elsewhere = simulation.create(Cpu=2, Memory=4, **both)
    nowhere = simulation.create(Cpu=2, Memory=4)
    simulation.pass_time(2)
    assert simulation.row(first)["ZoneId"] == "cn-hangzhou-h"
    assert simulation.row(elsewhere)["ZoneId"] == "cn-hangzhou-i"
    assert simulation.status(nowhere) == "ScheduleFailed"
    available = sold(simulation, Category="InstanceTypeFamily", Value="ecs.c6")
    stock = [[row["StatusCategory"] for row in rows] for rows in available]
    assert stock == [["WithoutStock"], ["WithStock"], ["WithStock"]]
    simulation.call("DeleteContainerGroup", ContainerGroupId=first)
    again = simulation.create(Cpu=2, Memory=4)
    simulation.pass_time(2)
    assert simulation.status(again) == "Pending"


def sold(simulation: Simulation, **wanted: object) -> list[list[dict[str, str]]]:
    """Return what is sold and fits, by zone."""
    asked = {f"DestinationResource__{name}": value for name, value in wanted.items()}
    answer = simulation.call("DescribeAvailableResource", **asked)
    return [
        zone["AvailableResources"]["AvailableResource"][0]["SupportedResources"][
            "SupportedResource"
        ]
        for zone in answer["AvailableZones"]["AvailableZone"]
    ]


@pytest.mark.parametrize(
    ("wanted", "types"),
    [
        ({"Cores": 4, "Memory": 8}, ["ecs.c5.xlarge", "ecs.c6.xlarge", "ecs.c7.xlarge"]),
        ({"Value": "ecs.g6.large"}, ["ecs.g6.large"]),
        ({"Value": "ecs.none.large"}, []),
    ],
)
def test_instance_types_are_found_by_size_and_name(
    simulation: Simulation, wanted: dict[str, object], types: list[str]
):
    rows = sold(simulation, Category="InstanceType", **wanted)[0]
    assert [row["Value"] for row in rows] == types


def test_a_price_is_higher_for_more_and_lower_for_spot(simulation: Simulation):
    def price(**asked: object) -> float:
        answer = simulation.call("DescribeContainerGroupPrice", **asked)
        return float(answer["PriceInfo"]["Price"]["TradePrice"])

    small, large = price(Cpu=2, Memory=4), price(Cpu=4, Memory=8)
    assert 0 < price(Cpu=2, Memory=4, SpotStrategy="SpotAsPriceGo") < small < large


def test_random_vswitches_are_random():
    simulation = Simulation(EmulatorSettings(rates=0, seed=3))
    asked = {
        "VSwitchId": "vsw-emulator-h,vsw-emulator-i,vsw-emulator-j",
        "ScheduleStrategy": "VSwitchRandom",
    }
    zones = {simulation.row(simulation.create(**asked))["ZoneId"] for _ in range(30)}
    assert len(zones) == 3
