"""The machine around the node: metadata with and without token, its role, its security group."""

import aiohttp
import pytest
from eci_client import Client

from vk_providers.alibabacloud import emulator

TTL = "X-aliyun-ecs-metadata-token-ttl-seconds"
TOKEN = "X-aliyun-ecs-metadata-token"


async def token(client: Client, ttl: str = "60") -> dict[str, str]:
    """Return the header that opens the metadata."""
    url = f"{client.url}/latest/api/token"
    async with client.session.put(url, headers={TTL: ttl}) as response:
        assert response.status == 200
        return {TOKEN: await response.text()}


async def get(client: Client, path: str, headers: dict[str, str]) -> str:
    """Return a value."""
    url = f"{client.url}/latest/meta-data/{path}"
    async with client.session.get(url, headers=headers) as response:
        assert response.status == 200
        return await response.text()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("region-id", "cn-hangzhou"),
        ("zone-id", "cn-hangzhou-h"),
        ("vpc-id", "vpc-emulator"),
        ("vswitch-id", "vsw-emulator-h"),
        ("instance-id", "i-emulator"),
        ("owner-account-id", "1000000000000000"),
        ("network/interfaces/macs/", "00:16:3e:00:00:01/"),
        ("network/interfaces/macs/00:16:3e:00:00:01/vswitch-id", "vsw-emulator-h"),
        ("ram/security-credentials/", "emulator-role"),
    ],
)
async def test_the_metadata_has_region_zone_and_vswitch(client: Client, path: str, value: str):
    assert await get(client, path, await token(client)) == value


async def test_the_top_lists_what_there_is(client: Client):
    names = (await get(client, "", await token(client))).splitlines()
    assert {"region-id", "network/", "ram/"} <= set(names)


async def test_nothing_comes_without_a_token_or_with_a_wrong_one(client: Client):
    url = f"{client.url}/latest/meta-data/region-id"
    for headers in ({}, {TOKEN: "wrong"}):
        async with client.session.get(url, headers=headers) as response:
            assert response.status == 403


@pytest.mark.parametrize("ttl", ["", "0", "21601", "x"])
async def test_a_token_has_a_life_of_at_most_six_hours(client: Client, ttl: str):
    url = f"{client.url}/latest/api/token"
    async with client.session.put(url, headers={TTL: ttl}) as response:
        assert response.status == 400


async def test_the_old_mode_wants_no_token():
    settings = emulator.EmulatorSettings(hardened_metadata=False)
    async with emulator.serve(settings) as running, aiohttp.ClientSession() as session:
        assert await get(Client(running.url, session), "region-id", {}) == "cn-hangzhou"


async def test_the_roles_credentials_sign_calls_until_they_end(
    running: emulator.RunningEmulator, client: Client
):
    async def credentials() -> dict[str, str]:
        path = f"{client.url}/latest/meta-data/ram/security-credentials/emulator-role"
        async with client.session.get(path, headers=await token(client)) as response:
            document: dict[str, str] = await response.json()
            return document

    found = await credentials()
    assert found["Code"] == "Success"
    assert await credentials() == found
    key = (found["AccessKeyId"], found["AccessKeySecret"], found["SecurityToken"])
    await Client(client.url, client.session, *key).call("DescribeRegions")
    await running.expire_credentials()
    assert (await credentials())["AccessKeyId"] != found["AccessKeyId"]


async def test_ecs_returns_the_security_group_of_the_instance(client: Client):
    ecs = Client(client.url, client.session, version="2014-05-26")
    answer = await ecs.call("DescribeInstances", InstanceIds='["i-emulator"]')
    (row,) = answer["Instances"]["Instance"]
    assert row["SecurityGroupIds"] == {"SecurityGroupId": ["sg-emulator"]}
    other = await ecs.call("DescribeInstances", InstanceIds='["i-other"]')
    assert other["Instances"]["Instance"] == []


async def test_the_access_key_is_the_account_itself(client: Client):
    sts = Client(client.url, client.session, version="2015-04-01")
    answer = await sts.call("GetCallerIdentity")
    assert (answer["AccountId"], answer["IdentityType"]) == ("1000000000000000", "Account")
