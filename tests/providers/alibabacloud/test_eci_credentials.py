"""Credentials by the vendor's chain, and places that are found; or one line on what is missing."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from eci_world import World, config

import vk
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.credentials import ApiCredentials, CredentialChain, CredentialSource
from vk_providers.alibabacloud.emulator import EmulatorSettings, RunningEmulator, serve
from vk_providers.alibabacloud.service import open_service

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with serve(EmulatorSettings(speed=40.0)) as running:
        yield running


def at(emulator: RunningEmulator, **more: Any) -> EciConfig:
    products = ("endpoint", "sts_endpoint", "vpc_endpoint", "ecs_endpoint", "metadata_endpoint")
    return EciConfig(**{**dict.fromkeys(products, emulator.url), **more})


def opened(config: EciConfig, environment: dict[str, str] | None = None) -> Any:
    return open_service(config, check_lease=lambda: None, environment=environment or {})


async def test_everything_is_found_on_the_machine(emulator: RunningEmulator) -> None:
    """Region, zone, vSwitch and security group, and the credentials of its role."""
    async with opened(at(emulator)) as service:
        found = service.config
        assert found.region == "cn-hangzhou"
        assert found.zone == "cn-hangzhou-h"
        assert found.vswitches == ("vsw-emulator-h",)
        assert found.security_group == "sg-emulator"
        await service.client.call("DescribeRegions", {})
        assert service.credentials.found == "the machine's RAM role"


async def test_missing_settings_are_named_with_variable_and_sources() -> None:
    nowhere = EciConfig(metadata_endpoint=NOWHERE)
    with pytest.raises(vk.ConfigError) as caught:
        async with opened(nowhere):
            pass
    assert str(caught.value) == (
        "ECI_REGION, ECI_VSWITCH, ECI_SECURITY_GROUP: not found; looked in the environment, "
        "--provider-config, --set, and the machine's metadata and ECS"
    )


async def test_no_credentials_anywhere_names_all_the_places(tmp_path: Path) -> None:
    async with opened(config(metadata_endpoint=NOWHERE), {"HOME": str(tmp_path)}) as service:
        with pytest.raises(vk.ConfigError, match="ECI_ACCESS_KEY") as caught:
            await service.credentials.get()
    for place in ("ALIBABA_CLOUD_ACCESS_KEY_ID", "OIDC", "profile", "RAM role"):
        assert place in str(caught.value)


async def test_half_an_access_key_is_an_error() -> None:
    async with opened(config(access_key="a", metadata_endpoint=NOWHERE)) as service:
        with pytest.raises(vk.ConfigError, match="ECI_SECRET_KEY"):
            await service.credentials.get()


async def test_a_configured_source_that_fails_is_not_skipped(
    emulator: RunningEmulator,
) -> None:
    """The next place might be another identity, such as the machine's."""
    environment = {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1000000000000000:role/r",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1000000000000000:oidc-provider/ack",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": "/nonexistent/token",
    }
    place = {"region": "cn-hangzhou", "vswitches": "vsw-emulator-h", "security_group": "sg-a"}
    async with opened(at(emulator, **place), environment) as service:
        with pytest.raises(vk.TemporaryError, match="OIDC_TOKEN_FILE"):
            await service.credentials.get()


@pytest.mark.parametrize("name", ["cli", "ini", "variables"])
async def test_the_other_places(tmp_path: Path, name: str) -> None:
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".alibabacloud").mkdir()
    environment = {"HOME": str(tmp_path)}
    if name == "cli":
        profile = {"name": "p", "access_key_id": "ak", "access_key_secret": "sk"}
        content = orjson.dumps({"current": "p", "profiles": [profile]})
        (tmp_path / ".aliyun" / "config.json").write_bytes(content)
    elif name == "ini":
        text = "[default]\naccess_key_id = ak\naccess_key_secret = sk\n"
        (tmp_path / ".alibabacloud" / "credentials").write_text(text)
    else:
        environment |= {
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "ak",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "sk",
        }
    async with opened(config(metadata_endpoint=NOWHERE), environment) as service:
        found = await service.credentials.get()
    assert (found.access_key, found.secret_key) == ("ak", "sk")


@pytest.mark.parametrize("name", ["cli", "ini"])
async def test_a_profile_that_assumes_a_role_is_not_used_without_it(
    name: str, tmp_path: Path
) -> None:
    """Its access key alone is another identity, which may have more permissions."""
    (tmp_path / ".aliyun").mkdir()
    (tmp_path / ".alibabacloud").mkdir()
    if name == "cli":
        keys = {"access_key_id": "ak", "access_key_secret": "sk"}
        profile = {"name": "p", "mode": "RamRoleArn", "ram_role_arn": "acs:ram::1:role/r", **keys}
        content = orjson.dumps({"current": "p", "profiles": [profile]})
        (tmp_path / ".aliyun" / "config.json").write_bytes(content)
    else:
        text = "[default]\ntype = ram_role_arn\naccess_key_id = ak\naccess_key_secret = sk\n"
        (tmp_path / ".alibabacloud" / "credentials").write_text(text)
    async with opened(config(metadata_endpoint=NOWHERE), {"HOME": str(tmp_path)}) as service:
        with pytest.raises(vk.ConfigError, match=r"(?i)ram_?role_?arn.*expected an access key"):
            await service.credentials.get()


async def test_a_pods_token_is_exchanged_for_credentials(
    emulator: RunningEmulator, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    claims = base64.urlsafe_b64encode(orjson.dumps({"exp": time.time() + 600, "iss": "i"}))
    token.write_text(f"e30.{claims.decode().rstrip('=')}.c2ln")
    environment = {
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1000000000000000:role/emulator-role",
        "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": "acs:ram::1000000000000000:oidc-provider/ack",
        "ALIBABA_CLOUD_OIDC_TOKEN_FILE": str(token),
    }
    place = {"region": "cn-hangzhou", "vswitches": "vsw-emulator-h", "security_group": "sg-a"}
    async with opened(at(emulator, **place), environment) as service:
        await service.client.call("DescribeRegions", {})
        assert "OIDC" in service.credentials.found


@pytest.mark.parametrize("skew", [3600.0, -3600.0])
async def test_a_wrong_clock_is_corrected_and_logged(
    skew: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Signed by the service's own time from the first refusal on; `vk doctor` says it too."""
    place = {"region": "cn-hangzhou", "vswitches": "vsw-emulator-h", "security_group": "sg-a"}
    async with serve(EmulatorSettings(skew=skew)) as emulator:
        keys = {"access_key": "emulator", "secret_key": "emulator-secret"}
        async with opened(at(emulator, **place, **keys)) as service:
            for _ in range(3):
                await service.client.call("DescribeRegions", {})
            assert service.client.skew == pytest.approx(skew, abs=5.0)
        codes = [call["code"] for call in (await emulator.ledger())["calls"]]
    assert codes == ["InvalidTimeStamp.Expired", None, None, None]
    assert [one.levelname for one in caplog.records if "clock is wrong" in one.message] == [
        "WARNING"
    ]


async def test_credentials_that_end_are_fetched_again(emulator: RunningEmulator) -> None:
    async with opened(at(emulator)) as service:
        await service.client.call("DescribeRegions", {})
        await emulator.expire_credentials()
        await service.client.call("DescribeRegions", {})


async def test_a_missing_permission_does_not_cost_good_credentials(
    emulator: RunningEmulator,
) -> None:
    """Others would have it no more than these, and may not be had just now."""
    action = "DescribeContainerGroupPrice"
    async with opened(at(emulator)) as service:
        before = await service.credentials.get()
        denied = {"kind": "error", "status": 403, "code": "Forbidden.RAM", "actions": [action]}
        await emulator.set_faults(denied)
        with pytest.raises(vk.TemporaryError, match="Forbidden"):
            await service.client.call(action, {"Cpu": "2", "Memory": "4"})
        assert await service.credentials.get() is before
    calls = (await emulator.ledger())["calls"]
    assert [call["action"] for call in calls].count(action) == 1


async def test_new_credentials_are_fetched_ahead_and_the_old_ones_serve_meanwhile() -> None:
    answers = [_lasting(1000.0), _lasting(800.0), None, _lasting(4000.0)]

    async def read() -> ApiCredentials | None:
        return answers.pop(0)

    chain = CredentialChain([CredentialSource("place", read)], pause=0.0)
    first = await chain.get()
    assert await chain.get() is first  # it lasts
    chain.forget(first)
    second = await chain.get()
    assert await chain.get() is second  # 800 s left: asked for another, there was none
    assert (await chain.get()).lasts(3000.0)


async def test_credentials_that_end_soon_are_not_asked_for_anew_by_each_call() -> None:
    """A place that does not answer takes up to 20 s each time, and what is there still holds."""
    asked = 0

    async def read() -> ApiCredentials | None:
        nonlocal asked
        asked += 1
        return _lasting(800.0)

    chain = CredentialChain([CredentialSource("place", read)])
    first = await chain.get()
    assert [await chain.get() for _ in range(10)] == [first] * 10
    assert asked == 1


def _lasting(seconds: float) -> ApiCredentials:
    return ApiCredentials(access_key="a", secret_key="s", expires=time.time() + seconds)


def test_no_secret_is_in_a_repr() -> None:
    given = config(access_key="ak-canary", secret_key="sk-canary", security_token="st-canary")
    assert "canary" not in repr(given)
    credentials = ApiCredentials(access_key="a", secret_key="sk-canary", token="st-canary")
    assert "canary" not in repr(credentials)


@pytest.mark.slow
async def test_the_checks_report_what_works_and_what_does_not(emulator: RunningEmulator) -> None:
    world = World(emulator)
    checks = {check.name: check async for check in world.provider().checks()}
    assert [name for name, check in checks.items() if not check.ok] == []
    assert checks["quota"].text == "10000 of 10000 vCPU are free"
    assert "or the permission is missing" in checks["eci:DescribeContainerGroups"].text
    assert checks["vSwitch vsw-emulator-h"].text.endswith("free addresses")
    await emulator.set_faults({"kind": "denied", "actions": ["DeleteContainerGroup"]})
    checks = {check.name: check async for check in world.provider().checks()}
    denied = checks["eci:DeleteContainerGroup"]
    assert not denied.ok
    assert denied.advice == "allow eci:DeleteContainerGroup in the RAM policy"
    assert (await emulator.ledger())["groups"] == []  # nothing was made
