"""Claims of a pod: the volumes that they are bound to, and what a pod waits for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pod_world import running
from reference_api import Files, ReferenceApi, using

from vk.models.volumes import NFS, EmptyDir

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]


@pytest.fixture
def api() -> ReferenceApi:
    return ReferenceApi()


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
