"""Flat names become the tree that they spell; what the action does not take is refused by name."""

from typing import Any

import pytest
from eci_client import Refused
from hypothesis import given
from hypothesis import strategies as st
from simulated import Simulation

from vk_providers.alibabacloud.emulator.errors import EciApiError
from vk_providers.alibabacloud.emulator.parameters import schema
from vk_providers.alibabacloud.emulator.schema import (
    ListSchema,
    ObjectSchema,
    flag,
    integer,
    parse,
    text,
)
from vk_providers.alibabacloud.emulator.sizes import size_of

CREATE = schema("CreateContainerGroup")
NESTED = ObjectSchema(
    {
        "Name": text(20),
        "Item": ListSchema(
            ObjectSchema({"Key": text(20), "Flag": flag, "Word": ListSchema(text(20), 4)}), 5
        ),
    }
)
WORDS = st.lists(st.text(max_size=20), min_size=1, max_size=4)
ITEMS = st.fixed_dictionaries({}, optional={"Key": st.text(max_size=20), "Word": WORDS})
TREES = st.fixed_dictionaries(
    {},
    optional={
        "Name": st.text(max_size=20),
        "Item": st.lists(ITEMS.filter(bool), min_size=1, max_size=5),
    },
)


def flat(value: Any, name: str = "") -> dict[str, str]:
    """Write a tree as the wire does."""
    if isinstance(value, str):
        return {name: value}
    members = value.items() if isinstance(value, dict) else enumerate(value, 1)
    start = f"{name}." if name else ""
    return {key: text for k, v in members for key, text in flat(v, f"{start}{k}").items()}


@pytest.mark.slow
@given(TREES, st.randoms())
def test_a_tree_comes_back_in_whatever_order_it_was_sent(tree: dict[str, Any], random: Any):
    pairs = list(flat(tree).items())
    random.shuffle(pairs)
    assert parse(NESTED, dict(pairs)) == tree


@given(st.dictionaries(st.text(max_size=40), st.text(max_size=10), max_size=5))
def test_whatever_comes_is_read_or_refused(parameters: dict[str, str]):
    try:
        parse(CREATE, parameters)
    except EciApiError as refusal:
        assert refusal.status == 400


SEGMENTS = st.sampled_from(["Container", "1", "2", "0", "01", "-1", "21", "Name", "Port", "", "x"])


@given(st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join))
def test_no_name_is_read_in_two_ways(name: str):
    """What is accepted is written back as the same name."""
    try:
        tree = parse(ObjectSchema(CREATE.members), {name: "1"})
    except EciApiError:
        return
    assert list(flat(tree, "")) == [name]


@pytest.mark.parametrize(
    ("parameters", "code", "name"),
    [
        ({"Nam": "x"}, "InvalidParameter", "Nam"),
        ({"Name.1": "x"}, "InvalidParameter", "Name.1"),
        ({"Name": "x" * 21}, "InvalidParameter.LengthExceeded", "Name"),
        ({"Item": "x"}, "InvalidParameter", "Item"),
        ({"Item.1": "x"}, "InvalidParameter", "Item.1"),
        ({"Item.0.Key": "x"}, "InvalidParameter", "Item.0.Key"),
        ({"Item.01.Key": "x"}, "InvalidParameter", "Item.01.Key"),
        ({"Item.6.Key": "x"}, "InvalidParameter.ValueExceeded", "Item.6.Key"),
        ({"Item.2.Key": "x"}, "MissingParameter", "Item.1"),
        ({"Item.1.Flag": "yes"}, "InvalidParameter", "Item.1.Flag"),
        ({"Item.1.Flag": "None"}, "InvalidParameter", "Item.1.Flag"),
        ({"Item.1.Word.1.x": "x"}, "InvalidParameter", "Item.1.Word.1.x"),
    ],
)
def test_the_first_wrong_parameter_is_named(parameters: dict[str, str], code: str, name: str):
    with pytest.raises(EciApiError) as refusal:
        parse(NESTED, parameters)
    assert refusal.value.code == code
    assert f" {name} " in refusal.value.message


@pytest.mark.parametrize("value", ["", "x", "1.0", "-1", "11", "9" * 30])
def test_a_whole_number_is_one_in_its_range(value: str):
    with pytest.raises(ValueError, match="integer from 0 to 10"):
        integer(0, 10)(value)


def test_no_refusal_repeats_a_value(simulation: Simulation):
    canary = "canary-5d1f"
    for name in ("Container__1__Cpu", "Container__1__EnvironmentVar__1__Key", "InstanceType"):
        with pytest.raises(Refused) as refusal:
            simulation.create(**{name: canary})
        assert canary not in refusal.value.message


VOLUME = {"Volume__1__Name": "v", "Volume__1__Type": "ConfigFileVolume"}
FILE = "Volume__1__ConfigFileVolume__ConfigFileToPath__1__"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"ContainerGroupName": "a"}, "InvalidParameter"),
        ({"ContainerGroupName": "Big"}, "InvalidParameter"),
        ({"ContainerGroupName": "-ab"}, "InvalidParameter"),
        ({"ContainerGroupName": "a" * 129}, "InvalidParameter"),
        ({"ContainerGroupName": "a.b"}, "InvalidParameter"),
        ({"Container__1__Command__1": "x" * 257}, "InvalidParameter.LengthExceeded"),
        ({"Container__1__Command__21": "x"}, "InvalidParameter.ValueExceeded"),
        ({"Container__21__Name": "x"}, "InvalidParameter.ValueExceeded"),
        ({"Container__2__Image": "x"}, "MissingParameter"),
        (
            {"Container__2__Name": "main", "Container__2__Image": "x"},
            "InvalidParameter.DuplicatedName",
        ),
        ({"Container__1__EnvironmentVar__1__Key": "9"}, "InvalidParameter"),
        (
            {
                "Container__1__EnvironmentVar__1__Key": "K",
                "Container__1__EnvironmentVar__1__Value": "x" * 257,
            },
            "InvalidParameter.LengthExceeded",
        ),
        ({"Container__1__SecurityContext__ReadOnlyRootFilesystem": "false"}, "InvalidParameter"),
        ({"Container__1__SecurityContext__Capability__Drop__1": "ALL"}, "InvalidParameter"),
        ({"Container__1__VolumeMount__1__Name": "v"}, "MissingParameter"),
        (
            {
                "Container__1__VolumeMount__1__Name": "v",
                "Container__1__VolumeMount__1__MountPath": "/v",
            },
            "InvalidParameter",
        ),
        ({"Container__1__LivenessProbe__PeriodSeconds": 5}, "InvalidParameter"),
        (
            {
                "Container__1__LivenessProbe__TcpSocket__Port": 80,
                "Container__1__LivenessProbe__SuccessThreshold": 2,
            },
            "InvalidParameter",
        ),
        ({"Volume__1__Name": "v", "Volume__1__Type": "Secret"}, "InvalidParameter"),
        ({**VOLUME}, "InvalidParameter"),
        ({**VOLUME, "Volume__1__ConfigFileVolume__DefaultModel": "0644"}, "InvalidParameter"),
        ({**VOLUME, "Volume__1__ConfigFileVolume__DefaultMode": "420"}, "InvalidParameter"),
        ({**VOLUME, FILE + "Path": "a", FILE + "Content": "no base64!"}, "InvalidParameter"),
        (
            {**VOLUME, FILE + "Path": "a", FILE + "Content": "QUJD" * 11_000},
            "InvalidParameter.LengthExceeded",
        ),
        (
            {
                "Volume__1__Name": "v",
                "Volume__1__Type": "EmptyDirVolume",
                "Volume__1__EmptyDirVolume__Enable": "true",
            },
            "InvalidParameter",
        ),
        (
            {"Tag__1__Key": "aliyun.x", "Tag__1__Value": "x"},
            "InvalidParameter",
        ),
        ({"Tag__1__Value": "x" * 129}, "InvalidParameter.LengthExceeded"),
        ({"Tag__21__Key": "x"}, "InvalidParameter.ValueExceeded"),
        ({"Cpu": 65, "Memory": 128}, "InvalidParameter"),
        ({"Cpu": 64, "Memory": 512, "InstanceType": "huge"}, "InvalidParameter"),
        ({"Container__1__Cpu": 64, "Container__1__Memory": 512, "Cpu": 60, "Memory": 511}, ""),
        ({"InstanceType": "1-2Gi,2-4Gi,1-2Gi,2-4Gi,1-2Gi,2-4Gi"}, "InvalidParameter.ValueExceeded"),
        ({"ClientToken": "x" * 65}, "InvalidParameter"),
        ({"ClientToken": "é"}, "InvalidParameter"),
        ({"VSwitchId": "vsw-elsewhere"}, "InvalidVSwitchId.NotFound"),
        ({"ZoneId": "cn-hangzhou-z"}, "OperationDenied.VswZoneMisMatch"),
        ({"DryRun": "true"}, "DryRunOperation"),
        ({"EciFailStrategy": "never"}, "InvalidParameter"),
    ],
)
def test_each_limit_of_a_group_is_held(simulation: Simulation, parameters: Any, code: str):
    if not code:
        assert simulation.row(simulation.create(**parameters))["Cpu"] == 64
        return
    with pytest.raises(Refused) as refusal:
        simulation.create(**parameters)
    assert refusal.value.code == code
    assert simulation.ledger()["groups"] == []


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ({}, (2, 4)),
        ({"Cpu": 7, "Memory": 13}, (8, 14)),
        ({"Cpu": 3, "Memory": 6}, (4, 6)),
        ({"Cpu": 4.25, "Memory": 8.5}, (6, 10)),
        ({"Cpu": 0.1, "Memory": 0.1}, (0.25, 0.5)),
        ({"Container__1__Cpu": 0.5, "Container__1__Memory": 1}, (0.5, 1)),
        ({"InstanceType": "4-8Gi,8-16Gi"}, (4, 8)),
        ({"InstanceType": "ecs.c6.xlarge"}, (4, 8)),
        ({"InstanceType": "ecs.g6.2xlarge"}, (8, 32)),
    ],
)
def test_the_size_is_rounded_up_to_what_is_sold(
    simulation: Simulation, asked: dict[str, Any], size: tuple[float, float]
):
    row = simulation.row(simulation.create(**asked))
    assert (row["Cpu"], row["Memory"]) == size


def test_the_pairs_of_some_regions_only_are_not_sold_elsewhere():
    found = size_of({"Cpu": 7, "Memory": 13}, "us-east-1")
    assert (found.cpu, found.memory) == (8, 16)
