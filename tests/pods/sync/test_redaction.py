"""What people see of an error that no provider raises on purpose: its text, and no secret."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from pod_world import Api, Backend, raw, running

from vk.models.files import File, RegistryCredential
from vk.models.pod import Container, Pod, Resolution
from vk.models.status import PodStatus
from vk.pods.sync.redaction import LONGEST, error_text

pytestmark = pytest.mark.field


@attrs.frozen
class Config:
    region: str = "cn-somewhere"
    secret_key: str = attrs.field(default="backend-s3cret", repr=False)


def resolved() -> Pod:
    env: list[Any] = [
        {"name": "PLAIN", "value": "plain"},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    container: dict[str, Any] = {"name": "main", "image": "x", "env": env}
    container["envFrom"] = [{"secretRef": {"name": "s"}}]
    volumes = [{"name": "v", "secret": {"secretName": "s"}}, {"name": "c", "configMap": {}}]
    pod = raw(containers=[container], volumes=volumes)
    values = {"PLAIN": "plain", "PASSWORD": "env-s3cret", "OTHER": "from-s3cret"}
    return Pod(
        pod,
        resolution=Resolution(
            containers=(Container(name="main", env=values, raw=container),),
            files={
                "v": {"key": File(b"file-s3cret\nline-s3cret\n")},
                "c": {"key": File(b"no secret")},
            },
            registry_credentials=(RegistryCredential("r", "me", "registry-s3cret"),),
        ),
    )


@pytest.mark.parametrize(
    "secret",
    [
        "env-s3cret",
        "from-s3cret",
        "file-s3cret line-s3cret",
        "line-s3cret",
        "registry-s3cret",
        "backend-s3cret",
    ],
)
def test_no_secret_of_the_pod_or_of_the_configuration_is_shown(secret: str) -> None:
    error = OSError(f"cannot send {secret} to cn-somewhere, plain, no secret")
    text = error_text(error, resolved(), Config())
    assert text == "OSError: cannot send [redacted] to cn-somewhere, plain, no secret"


def test_a_long_text_is_cut() -> None:
    assert len(error_text(OSError("x" * 1000), None, None)) == LONGEST


def test_an_error_without_a_text_is_its_type() -> None:
    assert error_text(OSError(), None, None) == "OSError"


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_an_event_says_what_the_provider_raised() -> None:
    class Full(Backend):
        async def create_pod(self, pod: Pod) -> PodStatus | None:
            raise OSError("quota of 20 exceeded")

    api: Any = Api()
    async with running(api, Full()) as world:
        api.add(raw("p"))
        await asyncio.sleep(1)
        texts = [text for _, reason, text in world.events if reason == "ProviderCreateFailed"]
    assert texts[0] == (
        "the provider's create failed (OSError: quota of 20 exceeded); its outcome is unknown"
    )
