"""A call is let in once, with the right key, signature and time, and not otherwise."""

import base64
import calendar
import json
import time
from urllib.parse import urlencode

import aiohttp
import pytest
from eci_client import Client, Refused, client_of, signature
from hypothesis import given
from hypothesis import strategies as st

from vk_providers.alibabacloud import emulator
from vk_providers.alibabacloud.emulator.authentication import sign, string_to_sign

FORMAT = "%Y-%m-%dT%H:%M:%SZ"


def at(seconds: float) -> str:
    """Return the moment so many seconds from now."""
    return time.strftime(FORMAT, time.gmtime(time.time() + seconds))


def test_the_documented_example_has_the_documented_signature():
    """The worked example of the RPC signature in the vendor's documentation of ECS."""
    parameters = {
        "Timestamp": "2016-02-23T12:46:24Z",
        "Format": "XML",
        "AccessKeyId": "testid",
        "Action": "DescribeRegions",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureNonce": "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf",
        "Version": "2014-05-26",
        "SignatureVersion": "1.0",
    }
    assert sign("testsecret", string_to_sign("GET", parameters)) == "OLeaidS1JvxuMvnyHOwuJ+uX5qY="


@pytest.mark.slow
@given(
    st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=40), max_size=8),
    st.sampled_from(["GET", "POST"]),
    st.text(st.characters(codec="ascii"), max_size=30),
)
def test_any_parameters_have_the_signature_of_an_independent_computation(
    parameters: dict[str, str], method: str, secret: str
):
    parameters.pop("Signature", None)
    expected = signature(method, parameters, secret)
    assert sign(secret, string_to_sign(method, parameters)) == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_query_and_form_are_taken(client: Client, method: str):
    call = client.signed("DescribeRegions", {}, method)
    (region,) = (await client.send(call, method))["Regions"]
    assert region["RegionEndpoint"] == client.url


async def test_query_and_form_together_are_signed_as_one(client: Client):
    call = client.signed("DescribeContainerGroups", {"Limit": "5"})
    query = urlencode({name: call.pop(name) for name in ("Action", "Signature", "Timestamp")})
    async with client.session.post(f"{client.url}/?{query}", data=call) as response:
        assert response.status == 200


async def test_awkward_signs_survive(client: Client):
    value = "a+b *~%/=&é\n\0"
    key = {"Container.1.EnvironmentVar.1.Key": "K", "Container.1.EnvironmentVar.1.Value": value}
    row = await client.group(await client.create(**key))
    assert row["Containers"][0]["EnvironmentVars"] == [{"Key": "K", "Value": value}]


async def test_a_call_is_taken_once(client: Client):
    call = client.signed("DescribeRegions", {})
    await client.send(call)
    with pytest.raises(Refused, match="400 SignatureNonceUsed"):
        await client.send(call)


@pytest.mark.parametrize("skew", [-960, 960])
async def test_a_clock_that_is_a_quarter_of_an_hour_off_is_refused(client: Client, skew: float):
    with pytest.raises(Refused, match=r"400 InvalidTimeStamp\.Expired"):
        await client.send(client.signed("DescribeRegions", {}, Timestamp=at(skew)))
    await client.send(client.signed("DescribeRegions", {}, Timestamp=at(skew / 1.2)))


async def test_a_wrong_secret_is_reported_with_the_string_to_sign(client: Client):
    wrong = Client(client.url, client.session, secret="wrong")
    call = wrong.signed("DescribeRegions", {})
    with pytest.raises(Refused, match="400 SignatureDoesNotMatch") as refusal:
        await wrong.send(call)
    signed = refusal.value.message.partition(" is:")[2]
    assert signed == string_to_sign("POST", call)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AccessKeyId": "unknown"}, r"404 InvalidAccessKeyId\.NotFound"),
        ({"SecurityToken": "unasked"}, r"400 InvalidSecurityToken\.MismatchWithAccessKey"),
        ({"Timestamp": "yesterday"}, r"400 InvalidTimeStamp\.Format"),
        ({"SignatureNonce": ""}, "400 MissingParameter"),
        ({"SignatureMethod": "HMAC-SHA256"}, r"400 InvalidParameter\.SignatureMethod"),
        ({"Format": "XML"}, "400 InvalidParameter"),
        ({"RegionId": ""}, "400 MissingParameter"),
        ({"RegionId": "cn-shanghai"}, "400 InvalidParameter"),
        ({"Version": "2017-01-01"}, r"404 InvalidAction\.NotFound"),
        ({"Action": "CreateVirtualNode"}, r"404 InvalidAction\.NotFound"),
    ],
)
async def test_what_is_wrong_has_its_code(client: Client, change: dict[str, str], code: str):
    call = {**client.signed("DescribeRegions", {}), **change}
    del call["Signature"]
    call["Signature"] = signature("POST", call, client.secret)
    with pytest.raises(Refused, match=code):
        await client.send(call)


async def test_an_error_has_the_shape_of_the_service(client: Client):
    async with client.session.post(client.url, data={"Action": "DescribeRegions"}) as response:
        document = await response.json()
    assert (response.status, document["Code"]) == (400, "MissingParameter")
    assert set(document) == {"RequestId", "HostId", "Code", "Message", "Recommend"}
    assert document["RequestId"] == document["RequestId"].upper()


async def test_a_parameter_that_comes_twice_is_refused(client: Client):
    call = client.signed("DescribeRegions", {})
    async with client.session.post(f"{client.url}/?Action=ListUsage", data=call) as response:
        assert (await response.json())["Message"].startswith("The specified parameter Action")


async def test_temporary_credentials_need_their_token_and_end(running: emulator.RunningEmulator):
    token = _web_token(time.time() + 600)
    async with aiohttp.ClientSession() as session:
        client = client_of(running, session)
        asked = {
            "Action": "AssumeRoleWithOIDC",
            "Version": "2015-04-01",
            "Format": "JSON",
            "RoleArn": "acs:ram::1:role/vk",
            "OIDCProviderArn": "acs:ram::1:oidc-provider/ack",
            "OIDCToken": token,
            "RoleSessionName": "node",
            "DurationSeconds": "900",
        }
        found = (await client.send(asked))["Credentials"]
        expiration = calendar.timegm(time.strptime(found["Expiration"], FORMAT))
        assert 890 <= expiration - time.time() <= 900
        key = (found["AccessKeyId"], found["AccessKeySecret"])
        temporary = Client(running.url, session, *key, found["SecurityToken"])
        who = Client(running.url, session, *key, found["SecurityToken"], version="2015-04-01")
        assert (await who.call("GetCallerIdentity"))["Arn"].endswith("assumed-role/vk/node")
        await temporary.call("DescribeRegions")
        with pytest.raises(Refused, match="MismatchWithAccessKey"):
            await Client(running.url, session, *key).call("DescribeRegions")
        await running.expire_credentials()
        with pytest.raises(Refused, match=r"InvalidSecurityToken\.Expired"):
            await temporary.call("DescribeRegions")
        with pytest.raises(Refused, match=r"OIDCToken\.Expired"):
            await client.send({**asked, "OIDCToken": _web_token(time.time() - 1)})
        with pytest.raises(Refused, match=r"OIDCToken\.Invalid"):
            await client.send({**asked, "OIDCToken": "token"})


def _web_token(expires: float) -> str:
    claims = json.dumps({"exp": expires, "sub": "system:serviceaccount:kube-system:vk"})
    return f"e30.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.sig"


async def test_the_ledger_has_the_access_key_and_the_time_of_the_signature():
    """Several callers, each with an access key of its own; who is not known leaves no name."""
    settings = emulator.EmulatorSettings(access_key_id="one,two")
    async with emulator.serve(settings) as running, aiohttp.ClientSession() as session:
        for id, known in (("one", True), ("two", True), ("three", False)):
            client = Client(running.url, session, id)
            call = client.signed("ListUsage", {}, Timestamp=at(-5))
            if known:
                await client.send(call)
            else:
                with pytest.raises(Refused, match=r"InvalidAccessKeyId\.NotFound"):
                    await client.send(call)
        calls = (await running.ledger())["calls"]
    assert [call["key"] for call in calls] == ["one", "two", None]
    assert calls[2]["signed"] is None
    assert all(5 <= call["at"] - call["signed"] < 7 for call in calls[:2])
