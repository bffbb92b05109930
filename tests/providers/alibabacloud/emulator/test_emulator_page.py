"""The page of the emulator names all that there is."""

from pathlib import Path

import pytest

from vk_providers.alibabacloud.emulator.actions import ACTIONS
from vk_providers.alibabacloud.emulator.faults import KINDS, Fault
from vk_providers.alibabacloud.emulator.shell.programs import PROGRAMS

PAGE = (Path(__file__).parents[4] / "docs/eci-emulator.md").read_text()


@pytest.mark.parametrize("action", [name for _, name in ACTIONS])
def test_every_action_is_on_the_page(action: str):
    assert action in PAGE


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fault_is_on_the_page(kind: str):
    assert f"| `{kind}` |" in PAGE


@pytest.mark.parametrize("name", Fault.__slots__)
def test_every_member_of_a_fault_is_on_the_page(name: str):
    assert name.startswith("_") or f"`{name}`" in PAGE


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in (":", "[")])
def test_every_simulated_program_is_on_the_page(name: str):
    assert f"`{name}" in PAGE
