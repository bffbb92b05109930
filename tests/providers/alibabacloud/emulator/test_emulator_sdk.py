"""What the vendor's SDK builds and signs is understood, and what it builds wrongly is refused."""

from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aliyunsdkcore.auth.composer import rpc_signature_composer
from aliyunsdkeci.request.v20180808.CreateContainerGroupRequest import CreateContainerGroupRequest

from vk_providers.alibabacloud import emulator


def request_of(**containers: Any) -> CreateContainerGroupRequest:
    """Return the SDK's request for a group."""
    request = CreateContainerGroupRequest()
    request.set_ContainerGroupName("default-web")
    request.set_Containers([{"Name": "main", "Image": "nginx", **containers}])
    request.set_Tags([{"Key": "pod-uid", "Value": "a+b *~é"}])
    return request


async def send(running: emulator.RunningEmulator, request: CreateContainerGroupRequest) -> Any:
    """Sign with the SDK's composer, send query and form, return the JSON."""
    business = {key: str(value) for key, value in request.get_query_params().items()}
    common = {
        "Action": request.get_action_name(),
        "Version": request.get_version(),
        "RegionId": running.settings.region,
    }
    secret = running.settings.access_key_secret
    path, _ = rpc_signature_composer.get_signed_url(
        common, running.settings.access_key_id, secret, "JSON", "POST", business
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post(
            running.url + path, content=urlencode(business).encode(), headers=headers
        )
        return answer.json()


async def test_the_sdks_signature_is_the_emulators(running: emulator.RunningEmulator):
    answer = await send(running, request_of())
    assert answer["ContainerGroupId"].startswith("eci-")
    assert (await running.ledger())["groups"][0]["pod_uid"] == "a+b *~é"


@pytest.mark.parametrize(
    ("containers", "name"),
    [
        ({"Ports": [{"Port": 80}]}, "Container.1.Port.1.Protocol"),
        ({"VolumeMounts": [{"Name": "v", "MountPath": "/v"}]}, "Container.1.VolumeMount.1"),
    ],
)
async def test_pythons_none_is_refused(
    running: emulator.RunningEmulator, containers: dict[str, Any], name: str
):
    answer = await send(running, request_of(**containers))
    assert answer["Code"] == "InvalidParameter"
    assert f"parameter {name}" in answer["Message"]
    assert (await running.ledger())["groups"] == []


async def test_the_sdks_misspelt_mode_of_files_is_refused(running: emulator.RunningEmulator):
    request = request_of()
    request.add_query_param("Volume.1.Name", "v")
    request.add_query_param("Volume.1.Type", "ConfigFileVolume")
    request.add_query_param("Volume.1.ConfigFileVolume.DefaultModel", "0644")
    answer = await send(running, request)
    assert "DefaultModel" in answer["Message"]
