"""What a pod refers to: what is read for it, what it waits for, what the provider then gets."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import Any, cast

import pytest
from pod_world import Backend, running
from reference_api import Files, ReferenceApi, Static, config_map, secret, token, using

from vk.cluster.client import Client
from vk.cluster.resources import CONFIG_MAPS
from vk.fields import FieldTable
from vk.models.files import File, RegistryCredential
from vk.models.keys import PodKey
from vk.models.volumes import NFS, EmptyDir
from vk.pods.resolve.references import References
from vk.pods.resolve.tokens import Bindings, Tokens
from vk.pods.resolve.volumes import TokenNeed

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


class TestTokens:
    """One request a pod, for this pod, of this node."""

    async def test_a_token_is_asked_for_once_and_bound_to_the_pod(self, api: ReferenceApi) -> None:
        provider = Files()
        async with running(api, provider):
            api.add(using(token(7200, audience="vault"), serviceAccountName="robot"))
            await asyncio.sleep(300)
            assert api.requests == [
                (
                    "robot",
                    {
                        "audiences": ["vault"],
                        "expirationSeconds": 7200,
                        "boundObjectRef": {
                            "apiVersion": "v1",
                            "kind": "Pod",
                            "name": "p",
                            "uid": "u",
                        },
                    },
                )
            ]
            assert api.pod_reads == 1

    @pytest.mark.parametrize("change", [{"nodeName": "other"}, {}])
    async def test_no_token_is_asked_for_a_pod_that_is_another_or_elsewhere(
        self, api: ReferenceApi, change: dict[str, Any]
    ) -> None:
        """What the watch said may be old: the live object decides."""
        provider = Files()
        async with running(api, provider) as world:
            pod = using(token())
            live = {**pod, "spec": {**pod["spec"], **change}}
            live["metadata"] = {**pod["metadata"], **({} if change else {"uid": "another"})}
            api.pods["p"] = live
            world.reconciler.observe(None, pod)
            await asyncio.sleep(60)
            assert (api.requests, provider.creates) == ([], 0)
            assert "is not one of node node-1" in world.events[-1][2]

    async def test_a_token_that_comes_when_its_pod_has_gone_is_not_kept(self) -> None:
        class Slow(ReferenceApi):
            async def create(self, resource: Any, body: Any, *, name: str, **_: Any) -> Any:
                await asyncio.sleep(5)
                return await super().create(resource, body, name=name)

        api, need = Slow(), TokenNeed("", 3600)
        api.pods["p"] = pod = using(token())
        client: Any = api
        tokens = Tokens(client=client, bindings=Bindings(client=client, node_name="node-1"))
        key = PodKey("default", "p", "u")
        asked = asyncio.create_task(tokens.get(key, pod, need))
        await asyncio.sleep(1)
        tokens.forget(key)
        await asked
        await tokens.get(key, pod, need)
        assert len(api.requests) == 2

    async def test_a_refused_token_is_told_with_the_right_that_lacks(
        self, api: ReferenceApi
    ) -> None:
        api.refused = True
        provider = Files()
        async with running(api, provider) as world:
            api.add(using(token()))
            await asyncio.sleep(10)
            waiting = api.status()["containerStatuses"][0]["state"]["waiting"]
            assert waiting["reason"] == "FailedMount"
            assert "create serviceaccounts/token default: 403 Forbidden" in waiting["message"]
            assert "FailedMount" in world.reasons()
            api.refused = False
            await asyncio.sleep(300)
            assert (api.phase(), len(api.requests)) == ("Running", 1)

    async def test_a_token_is_renewed_at_four_fifths_of_its_life(self, api: ReferenceApi) -> None:
        provider = Files()
        async with running(api, provider):
            api.add(using(token(600)))
            await asyncio.sleep(465)  # 480 less the jitter
            assert provider.seen("kube-api-access") == {"token": "token-1"}
            await asyncio.sleep(480 + 61 - 465)
            assert provider.seen("kube-api-access") == {"token": "token-2"}
            assert len(api.requests) == 2

    @pytest.mark.slow
    async def test_a_token_of_a_year_is_renewed_after_a_day(self, api: ReferenceApi) -> None:
        api.token_life = 365 * 86400.0
        provider = Files()
        async with running(api, provider):
            api.add(using(token()))
            await asyncio.sleep(86400 - 100)
            assert len(api.requests) == 1
            await asyncio.sleep(200)
            assert len(api.requests) == 2

    async def test_a_renewal_that_fails_leaves_the_old_token_and_comes_again(
        self, api: ReferenceApi
    ) -> None:
        provider = Files()
        async with running(api, provider) as world:
            api.add(using(token(600)))
            await asyncio.sleep(300)
            api.refused = True
            await asyncio.sleep(270)
            assert provider.seen("kube-api-access") == {"token": "token-1"}
            assert "FailedMount" not in world.reasons()
            api.refused = False
            await asyncio.sleep(61)
            assert provider.seen("kube-api-access") == {"token": "token-2"}

    @pytest.mark.slow
    async def test_a_provider_with_static_files_gets_no_second_token(
        self, api: ReferenceApi
    ) -> None:
        provider = Static()
        async with running(api, provider) as world:
            api.add(using(token(600)))
            await asyncio.sleep(4000)
            assert len(api.requests) == 1
            assert world.reasons().count("StaticFiles") == 1


class TestClaims:
    """A claim stands for the volume that it is bound to, once it is."""

    @pytest.fixture
    def api(self) -> ReferenceApi:
        found = ReferenceApi()
        self.put_claim(found)
        self.put_volume(found)
        return found

    def put_claim(self, api: ReferenceApi, *, phase: str = "Bound", **spec: Any) -> None:
        spec = {"volumeName": "pv", "accessModes": ["ReadWriteOnce"], **spec}
        api.put("persistentvolumeclaims", "data", spec=spec, status={"phase": phase})

    def put_volume(self, api: ReferenceApi, **spec: Any) -> None:
        whole = {
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"uid": "persistentvolumeclaims-data"},
            "nfs": {"server": "files", "path": "/data"},
            **spec,
        }
        api.put("persistentvolumes", "pv", spec=whole)

    def pod(self, **claim: Any) -> dict[str, Any]:
        mounts = [{"name": "data", "mountPath": "/data"}]
        return using(
            {"name": "data", "persistentVolumeClaim": {"claimName": "data", **claim}},
            {"name": "tmp", "emptyDir": {}},
            containers=[{"name": "main", "volumeMounts": mounts}],
        )

    async def test_the_provider_gets_what_is_behind_the_claim(self, api: ReferenceApi) -> None:
        provider = Files()
        async with running(api, provider):
            api.add(self.pod())
            await asyncio.sleep(1)
            found = provider.pods["u"].volumes
            assert (found["data"].kind, found["data"].source) == (
                "persistentVolumeClaim",
                NFS(server="files", path="/data"),
            )
            assert (found["data"].persistent_volume or {})["metadata"]["name"] == "pv"
            assert found["tmp"].source == EmptyDir()

    @pytest.mark.parametrize(
        ("claim", "volume", "told"),
        [
            ({"phase": "Pending"}, {}, "is not bound (its phase is Pending)"),
            ({"volumeName": None}, {}, "is not bound"),
            ({}, {"claimRef": {"uid": "other"}}, "is not the claim that PersistentVolume 'pv'"),
            ({"accessModes": ["ReadWriteMany"]}, {}, "asks for ReadWriteMany"),
            (
                {"accessModes": ["ReadOnlyMany"]},
                {"accessModes": ["ReadOnlyMany"]},
                "can only be read (ReadOnlyMany), and a container writes to it",
            ),
            ({}, {"volumeMode": "Block"}, "is a block device, and volumeMounts name it"),
            (
                {},
                {
                    "nodeAffinity": {
                        "required": {
                            "nodeSelectorTerms": [
                                {
                                    "matchExpressions": [
                                        {"key": "zone", "operator": "In", "values": ["b"]}
                                    ]
                                }
                            ]
                        }
                    }
                },
                "which this node cannot reach",
            ),
        ],
    )
    async def test_a_pod_waits_for_a_claim_that_it_can_use(
        self, api: ReferenceApi, claim: dict[str, Any], volume: dict[str, Any], told: str
    ) -> None:
        self.put_claim(api, **claim)
        self.put_volume(api, **volume)
        provider = Files()
        async with running(api, provider) as world:
            api.add(self.pod())
            await asyncio.sleep(30)
            assert (api.phase(), provider.creates) == ("Pending", 0)
            events = [text for _, reason, text in world.events if reason == "FailedMount"]
            assert told in events[-1]
            assert "volume 'data': PersistentVolumeClaim 'data'" in events[-1]
            self.put_claim(api)
            self.put_volume(api)
            await asyncio.sleep(20)
            assert api.phase() == "Running"

    async def test_a_claim_that_ends_is_used_while_its_pods_protect_it(
        self, api: ReferenceApi
    ) -> None:
        """As getPVCExtractPV: a kubelet that starts again must find the volumes of its pods."""
        metadata = api.objects["persistentvolumeclaims", "data"]["metadata"]
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        metadata["finalizers"] = ["example.org/mine"]
        async with running(api, Files()) as world:
            api.add(self.pod())
            await asyncio.sleep(10)
            assert api.phase() == "Pending"
            assert "PersistentVolumeClaim 'data' is being deleted" in world.events[-1][2]
            metadata["finalizers"].append("kubernetes.io/pvc-protection")
            await asyncio.sleep(20)
            assert api.phase() == "Running"

    async def test_a_claim_that_only_reads_may_use_a_volume_for_readers(
        self, api: ReferenceApi
    ) -> None:
        self.put_claim(api, accessModes=["ReadOnlyMany"])
        self.put_volume(api, accessModes=["ReadOnlyMany"])
        async with running(api, Files()):
            api.add(self.pod(readOnly=True))
            await asyncio.sleep(1)
            assert api.phase() == "Running"

    async def test_an_ephemeral_volume_must_be_made_for_this_pod(self, api: ReferenceApi) -> None:
        provider = Files()
        async with running(api, provider) as world:
            spec = {"volumeName": "pv", "accessModes": ["ReadWriteOnce"]}
            api.put("persistentvolumeclaims", "p-own", spec=spec, status={"phase": "Bound"})
            self.put_volume(api, claimRef={"uid": "persistentvolumeclaims-p-own"})
            api.add(using({"name": "own", "ephemeral": {"volumeClaimTemplate": {}}}))
            await asyncio.sleep(10)
            assert "'p-own' was not made for this pod" in world.events[-1][2]
            claim = api.objects["persistentvolumeclaims", "p-own"]
            claim["metadata"]["ownerReferences"] = [{"uid": "u", "controller": True}]
            await asyncio.sleep(20)
            assert provider.pods["u"].volumes["own"].source == NFS(server="files", path="/data")


class SlowApi(ReferenceApi):
    """Takes 12 s for each object: longer than an answer is used again."""

    async def get(self, resource: Any, name: str, **more: Any) -> dict[str, Any]:
        found = await super().get(resource, name, **more)
        await asyncio.sleep(12)
        return found


async def test_a_slow_answer_is_used_again_and_as_old_as_its_request() -> None:
    api = SlowApi()
    api.put("configmaps", "settings", data={"colour": "green"})
    references = References(cast(Client, api))
    clock = asyncio.get_running_loop().time
    began = clock()
    await references.config_map("default", "settings")
    await asyncio.sleep(9)
    await references.config_map("default", "settings")
    assert api.reads["configmaps", "settings"] == 1
    await references.read(CONFIG_MAPS, "default", "settings", since=began)
    assert api.reads["configmaps", "settings"] == 1
    await references.read(CONFIG_MAPS, "default", "settings", since=began + 1)
    assert api.reads["configmaps", "settings"] == 2
    await asyncio.sleep(11)
    await references.config_map("default", "settings")
    assert api.reads["configmaps", "settings"] == 3
