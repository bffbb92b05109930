"""What a pod refers to: what is read for it, what it waits for, what the provider then gets."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
from pod_world import Backend, running
from reference_api import Files, ReferenceApi, config_map, secret, token, using

from vk.fields import FieldTable
from vk.models.files import File, RegistryCredential

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> ReferenceApi:
    return ReferenceApi()


def encoded(text: str) -> str:
    return b64encode(text.encode()).decode()


async def test_a_provider_gets_the_files_of_each_volume(api: ReferenceApi) -> None:
    api.put("configmaps", "settings", data={"colour": "green"})
    api.put("secrets", "hush", data={"password": encoded("geheim")})
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("settings"), secret("hush", defaultMode=0o400), token()))
        await asyncio.sleep(1)
        assert api.phase() == "Running"
        assert provider.pods["u"].files == {
            "settings": {"colour": File(b"green")},
            "hush": {"password": File(b"geheim", mode=0o400)},
            "kube-api-access": {"token": File(b"token-1")},
        }


async def test_nothing_is_read_for_a_provider_that_takes_no_files(api: ReferenceApi) -> None:
    class Plain(Backend):
        fields = FieldTable(ignored={"spec.volumes": "no"})

    class Remote(Files):
        resolves = frozenset()

    for provider in (Plain(), Remote()):
        async with running(ReferenceApi(), provider) as world:
            world.api.add(
                using(
                    config_map("none"), secret("none"), token(), imagePullSecrets=[{"name": "none"}]
                )
            )
            await asyncio.sleep(200)
            assert world.api.phase() == "Running"
            assert isinstance(world.api, ReferenceApi)
            assert (world.api.reads, world.api.requests) == ({}, [])


@pytest.mark.parametrize(
    ("volume", "told"),
    [
        (config_map("late"), "volume 'settings': ConfigMap 'late' not found"),
        (secret("late"), "volume 'hush': Secret 'late' not found"),
        (
            config_map("there", items=[{"key": "k", "path": "p"}]),
            "volume 'settings': key 'k' of ConfigMap 'there' not found",
        ),
    ],
)
async def test_a_pod_waits_for_what_its_volume_requires_and_starts_when_it_appears(
    api: ReferenceApi, volume: dict[str, Any], told: str
) -> None:
    api.put("configmaps", "there", data={"other": "x"})
    provider = Files()
    async with running(api, provider) as world:
        api.add(using(volume))
        await asyncio.sleep(30)
        waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
        assert (api.phase(), waiting["reason"]) == ("Pending", "FailedMount")
        assert told in waiting["message"]
        assert ("Warning", "FailedMount", told) in world.events
        assert provider.creates == 0
        for plural in ("configmaps", "secrets"):
            api.put(plural, "late", data={"k": encoded("v")})
        api.put("configmaps", "there", data={"k": "v"})
        await asyncio.sleep(20)
        assert (api.phase(), provider.creates) == ("Running", 1)


async def test_a_volume_that_cannot_be_is_refused_before_any_call(api: ReferenceApi) -> None:
    api.put("configmaps", "settings", data={"colour": "green"})
    provider = Files()
    async with running(api, provider):
        api.add(using(config_map("settings", items=[{"key": "colour", "path": "../x"}])))
        await asyncio.sleep(1)
        status = api.status()
        assert (status["phase"], status["reason"]) == ("Failed", "InvalidVolume")
        assert "spec.volumes[0].configMap.items[0].path: must not contain '..'" in status["message"]
        assert provider.creates == 0


async def test_a_file_over_the_providers_limit_is_refused(api: ReferenceApi) -> None:
    class Small(Files):
        file_limit = 4

    api.put("configmaps", "settings", data={"colour": "green"})
    provider = Small()
    async with running(api, provider):
        api.add(using(config_map("settings")))
        await asyncio.sleep(1)
        assert "5 bytes, and this node takes 4 at most" in api.status()["message"]
        assert provider.creates == 0


async def test_registry_credentials_are_read_and_a_missing_secret_is_only_told(
    api: ReferenceApi,
) -> None:
    login = json.dumps({"auths": {"ghcr.io": {"auth": encoded("ann:pw")}}})
    api.put("secrets", "registry", data={".dockerconfigjson": encoded(login)})
    provider = Files()
    async with running(api, provider) as world:
        api.add(using(imagePullSecrets=[{"name": "registry"}, {"name": "absent"}]))
        await asyncio.sleep(1)
        found = provider.pods["u"].registry_credentials
        assert found == (RegistryCredential("ghcr.io", "ann", "pw"),)
        (event,) = [one for one in world.events if one[1] == "FailedToRetrieveImagePullSecret"]
        assert "'absent' not found" in event[2]


async def test_files_and_volumes_stay_when_the_addresses_come(api: ReferenceApi) -> None:
    api.put("configmaps", "settings", data={"colour": "green"})
    provider = Files()
    async with running(api, provider):
        api.add(
            using(
                config_map("settings"),
                containers=[
                    {
                        "name": "main",
                        "env": [
                            {
                                "name": "IP",
                                "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
                            }
                        ],
                    }
                ],
            )
        )
        await asyncio.sleep(1)
        opened = provider.pods["u"].with_ips(["10.0.0.1"])
        assert opened.containers[0].env["IP"] == "10.0.0.1"
        assert opened.files == {"settings": {"colour": File(b"green")}}
