"""What `import vk` gives, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import vk

HEAVY = ("aiohttp", "kubernetes_asyncio", "click", "prometheus_client", "httpx", "vk.pods")


def test_the_public_names_are_those_of_the_table() -> None:
    assert sorted(vk.__all__) == sorted(vk._HOME_OF)
    assert len(vk.__all__) == len(set(vk.__all__))


def test_dir_shows_every_public_name() -> None:
    assert set(vk.__all__) <= set(dir(vk))


@pytest.mark.parametrize("name", sorted(vk.__all__))
def test_every_public_name_is_what_its_home_defines(name: str) -> None:
    home = import_module(vk._HOME_OF[name])
    assert getattr(vk, name) is getattr(home, name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="NoSuchName"):
        vk.NoSuchName  # noqa: B018 # the access is what is tested


@pytest.mark.parametrize(
    "names", ["", "Provider, PodStatus, Pod, NodeInfo, hookimpl, NotFoundError, Settings, Latest"]
)
def test_importing_what_a_provider_needs_loads_no_network_code(names: str) -> None:
    code = f"import sys, vk\nfor name in {names!r}.split(', '): name and getattr(vk, name)\n"
    code += "print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "vk" in loaded
    assert [name for name in HEAVY if name in loaded] == []
