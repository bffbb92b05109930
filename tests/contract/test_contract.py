"""The suite itself: a right provider keeps every rule, and each wrong one breaks one of them."""

from __future__ import annotations

import pytest
import wrong_streams
from toy_backend import Backend
from toy_provider import ToyContract, ToyProvider
from wrong_providers import WRONG

from vk.testing import ProviderContract
from vk.testing.contract.rule import PAGE

RULES = sorted(name for name in dir(ProviderContract) if name.startswith("test_"))

assert wrong_streams.__doc__  # importing it adds to WRONG


async def broken_by(provider: type[ToyProvider], **claims: object) -> dict[str, str]:
    """Return the message of each rule that the suite reports as broken."""
    suite = type("Suite", (ToyContract,), {"provider_class": provider, **claims})()
    broken = {}
    for name in RULES:
        try:
            await getattr(suite, name)(Backend())
        except pytest.skip.Exception:
            continue
        except AssertionError as error:
            broken[name.removeprefix("test_")] = str(error)
    return broken


@pytest.mark.looptime
@pytest.mark.slow
async def test_a_right_provider_keeps_every_rule() -> None:
    assert await broken_by(ToyProvider) == {}


@pytest.mark.looptime
@pytest.mark.slow
@pytest.mark.parametrize("rule", sorted(WRONG))
async def test_a_wrong_provider_is_caught_by_exactly_its_rule(rule: str) -> None:
    broken = await broken_by(WRONG[rule])
    name = rule.split()[0]
    assert list(broken) == [name]
    first, promise, saw, page = broken[name].splitlines()
    assert first == f"rule broken: {name.replace('_', ' ')}"
    assert promise.startswith("  promise: ") and saw.startswith("  saw: ")
    assert page == f"  explained in: {PAGE}#{name.replace('_', '-')}"


@pytest.mark.looptime
@pytest.mark.slow
async def test_a_simulator_may_not_claim_that_fields_are_honoured() -> None:
    broken = await broken_by(ToyProvider, runs_scripts=False)
    assert sorted(broken) == [
        "an_honoured_command_and_its_args_are_run",
        "an_honoured_working_directory_is_entered",
        "the_resolved_environment_is_delivered",
        "the_resolved_files_are_delivered",
    ]


def test_every_rule_has_a_wrong_provider() -> None:
    assert {rule.split()[0] for rule in WRONG} == {name.removeprefix("test_") for name in RULES}
