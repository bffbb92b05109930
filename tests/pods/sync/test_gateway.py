"""Calls of the provider have a time-out, check the lease, and are counted with their outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pod_world import Backend, raw

from vk.errors import NotFoundError, TemporaryError
from vk.models.keys import PodKey
from vk.models.pod import Pod
from vk.models.status import PodStatus
from vk.pods.sync.gateway import LeaseNotHeldError, OutcomeUnknownError, ProviderGateway

pytestmark = [pytest.mark.looptime, pytest.mark.asyncio]

KEY = PodKey("default", "p", "u")
Observed = list[tuple[str, float, bool]]


class Slow(Backend):
    """Takes two seconds for everything, then raises ``error`` if there is one."""

    delete_timeout = 10.0

    def __init__(self, error: BaseException | None = None) -> None:
        super().__init__()
        self.error = error

    async def delete_pod(self, key: PodKey, *, grace_period: float) -> PodStatus | None:
        await asyncio.sleep(2)
        if self.error is not None:
            raise self.error
        return None

    async def create_pod(self, pod: Pod) -> PodStatus | None:
        await asyncio.sleep(1000)
        return None


def gateway(provider: Backend, observed: Observed, **more: Any) -> ProviderGateway:
    return ProviderGateway(
        provider=provider,
        check_lease=more.pop("check_lease", lambda: None),
        observe=lambda *all_of_it: observed.append(all_of_it),
    )


@pytest.mark.parametrize(
    ("error", "failed"), [(None, False), (NotFoundError("x"), False), (TemporaryError("x"), True)]
)
async def test_a_call_is_counted_when_it_has_ended(error: Exception | None, failed: bool) -> None:
    """That something is not there is an answer, no failure."""
    observed: Observed = []
    try:
        await gateway(Slow(error), observed).delete_pod(KEY, grace_period=1.0)
    except (NotFoundError, TemporaryError) as raised:
        assert raised is error
    assert observed == [("delete_pod", pytest.approx(2.0), failed)]


async def test_a_call_that_takes_too_long_has_an_unknown_outcome() -> None:
    observed: Observed = []
    with pytest.raises(OutcomeUnknownError, match="took too long"):
        await gateway(Slow(), observed).create_pod(Pod(raw()))
    assert observed == [("create_pod", pytest.approx(120.0), True)]


@pytest.mark.parametrize(
    "error",
    [RuntimeError("password=x"), asyncio.CancelledError(), ExceptionGroup("g", [OSError()])],
)
async def test_what_no_provider_raises_on_purpose_is_an_unknown_outcome(
    error: BaseException,
) -> None:
    """The text of such an error may hold anything, so it is not in ours."""
    with pytest.raises(OutcomeUnknownError) as raised:
        await gateway(Slow(error), []).delete_pod(KEY, grace_period=1.0)
    assert str(raised.value) in ("RuntimeError", "OSError")
    assert raised.value.__cause__ is not None


async def test_nothing_is_sent_without_the_lease() -> None:
    observed: Observed = []

    def lost() -> None:
        raise TemporaryError("the lease is not held", retry_after=2.0)

    with pytest.raises(LeaseNotHeldError) as raised:
        await gateway(Slow(), observed, check_lease=lost).delete_pod(KEY, grace_period=1.0)
    assert (raised.value.retry_after, observed) == (2.0, [])
    assert list(await gateway(Slow(), observed, check_lease=lost).list_pods()) == []


@pytest.mark.field
async def test_the_outcome_of_a_call_during_which_the_lease_may_have_expired_is_unknown() -> None:
    """Another replica may have acted on the pod since."""
    clock = asyncio.get_running_loop().time
    expires = clock() + 1

    def check() -> None:
        if clock() > expires:
            raise TemporaryError("the lease may have expired")

    with pytest.raises(OutcomeUnknownError, match="the lease may have expired meanwhile"):
        await gateway(Slow(), [], check_lease=check).delete_pod(KEY, grace_period=1.0)


async def test_an_optional_method_is_implemented_where_it_is_overridden() -> None:
    known = gateway(Slow(), [])
    assert not known.implements("watch_pods")
    assert not known.implements("get_pods")
    assert known.implements("create_pod")
