"""Tokens of pods, and the check that a pod is bound to this node, for one pod and for many."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from pod_world import running
from reference_api import Files, ReferenceApi, Static, token, using

from vk.cluster.client import Listing
from vk.errors import ObjectNotFoundError, UnavailableError
from vk.models.keys import PodKey
from vk.pods.resolve.tokens import FRESH, MANY, Bindings, Tokens
from vk.pods.resolve.volumes import TokenNeed

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]

NODE = "node-1"


@pytest.fixture
def api() -> ReferenceApi:
    return ReferenceApi()


@attrs.define
class Pods:
    """An API server's pods by name, with their node, phase and UID; each answer takes 0.1 s."""

    pods: dict[str, tuple[str, str, str]] = attrs.field(factory=dict)
    reads: int = 0
    lists: int = 0
    failures: list[Exception] = attrs.field(factory=list)
    """Raised by the next lists, one each."""

    def add(
        self, names: Iterable[str], *, node: str = NODE, phase: str = "Pending", uid: str = ""
    ) -> None:
        self.pods |= {name: (node, phase, uid or name) for name in names}

    async def get(self, resource: Any, name: str, *, namespace: str) -> dict[str, Any]:
        self.reads += 1
        await asyncio.sleep(0.1)
        if name not in self.pods:
            raise ObjectNotFoundError(f"get pods {name}: 404 NotFound", status=404)
        node, _, uid = self.pods[name]
        return {"metadata": {"name": name, "uid": uid}, "spec": {"nodeName": node}}

    async def list(self, resource: Any, *, field_selector: str, metadata_only: bool) -> Listing:
        self.lists += 1
        found = [
            {"metadata": {"name": name, "uid": uid}}
            for name, (node, phase, uid) in self.pods.items()
            if field_selector == f"spec.nodeName={node},status.phase={phase}"
        ]
        await asyncio.sleep(0.1)
        if self.failures:
            raise self.failures.pop(0)
        return Listing(found, "1")


def names(count: int, start: int = 0) -> list[str]:
    return [f"pod-{number}" for number in range(start, start + count)]


def bindings(api: Any) -> Bindings:
    return Bindings(client=api, node_name=NODE)


async def asked(checks: Bindings, wanted: Iterable[str]) -> list[Any]:
    """Ask about all of them at once, by names that are their UIDs too."""
    keys = [PodKey("default", name, name) for name in wanted]
    return await asyncio.gather(*map(checks.is_here, keys), return_exceptions=True)


async def test_pods_that_come_one_by_one_are_read_one_by_one() -> None:
    api = Pods()
    api.add(names(3 * MANY))
    checks = bindings(api)
    for name in names(3 * MANY):
        assert await asked(checks, [name]) == [True]
    assert (api.reads, api.lists) == (3 * MANY, 0)


async def test_pods_that_start_together_are_read_together() -> None:
    api = Pods()
    api.add(names(100))
    assert await asked(bindings(api), names(100)) == 100 * [True]
    assert (api.reads, api.lists) == (MANY - 1, 1)


async def test_in_a_crowd_too_a_pod_that_is_another_or_elsewhere_or_gone_is_found_out() -> None:
    api = Pods()
    api.add(names(100))
    api.add(["pod-50"], uid="another")
    api.add(["pod-60"], node="other")
    del api.pods["pod-70"]
    found = await asked(bindings(api), names(100))
    assert [found[50], found[60]] == [False, False]
    assert isinstance(found[70], ObjectNotFoundError)
    assert sum(one is True for one in found) == 97


async def test_a_crowd_of_running_pods_is_read_one_by_one_after_one_list() -> None:
    api = Pods()
    api.add(names(100), phase="Running")
    checks = bindings(api)
    assert await asked(checks, names(MANY)) == MANY * [True]
    assert (api.reads, api.lists) == (MANY, 1)


async def test_a_list_is_believed_for_a_second_and_no_longer() -> None:
    api = Pods()
    api.add(names(100))
    checks = bindings(api)
    await asked(checks, names(MANY))
    read = api.reads
    api.add(["pod-99"], uid="another")
    await asyncio.sleep(FRESH - 0.2)
    assert await asked(checks, ["pod-98"]) == [True]
    assert api.reads == read
    await asyncio.sleep(0.2)
    assert await asked(checks, ["pod-98", "pod-99"]) == [True, False]


async def test_a_long_list_is_not_made_again_before_half_as_many_have_asked() -> None:
    """Where thousands wait, a list serves few of them before it is too old."""
    api = Pods()
    api.add(names(5000))
    checks = bindings(api)
    for start in range(0, 2400, MANY):
        assert await asked(checks, names(MANY, start)) == MANY * [True]
        await asyncio.sleep(2 * FRESH)
    assert api.lists == 1
    for start in range(2400, 2600, MANY):
        assert await asked(checks, names(MANY, start)) == MANY * [True]
        await asyncio.sleep(2 * FRESH)
    assert api.lists == 2


async def test_a_list_that_fails_is_told_to_one_and_the_others_are_read_one_by_one() -> None:
    api = Pods(failures=[UnavailableError("list pods: no answer within 60 s")])
    api.add(names(2 * MANY - 1))
    found = await asked(bindings(api), names(2 * MANY - 1))
    assert sum(isinstance(one, UnavailableError) for one in found) == 1
    assert sum(one is True for one in found) == 2 * MANY - 2


async def test_a_list_that_is_cancelled_leaves_no_check_waiting() -> None:
    api = Pods()
    api.add(names(2 * MANY - 1))
    checks = bindings(api)
    keys = [PodKey("default", name, name) for name in names(2 * MANY - 1)]
    tasks = [asyncio.create_task(checks.is_here(key)) for key in keys]
    await asyncio.sleep(0.05)
    tasks[MANY - 1].cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert api.lists == 1
    assert sum(one is True for one in found) == 2 * MANY - 2


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
