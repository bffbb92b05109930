"""What `import vk` gives, and what it does not load."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from importlib import import_module
from pathlib import Path

import pytest

import vk

HEAVY = ("aiohttp", "kubernetes_asyncio", "click", "prometheus_client", "httpx", "vk.pods")


STUB = Path(vk.__file__).with_suffix(".pyi")


def homes() -> dict[str, str]:
    """Return the module of each public name, by the stub."""
    return {
        alias.name: f"vk.{node.module}"
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_public_names_are_those_of_the_stub() -> None:
    assert sorted(vk.__all__) == sorted(homes())


def test_the_stub_is_in_the_package() -> None:
    config = ConfigParser()
    config.read(STUB.parents[1] / "setup.cfg")
    assert "*.pyi" in config["options.package_data"]["*"]


@pytest.mark.slow
def test_type_checkers_see_every_public_name(tmp_path: Path) -> None:
    lines = ["import vk", *(f"assert vk.{name} is not None" for name in vk.__all__)]
    lines += ["def name_of(status: vk.PodStatus) -> str:", "    return status.key.name"]
    (tmp_path / "consumer.py").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "consumer.py"]
    path = {**os.environ, "MYPYPATH": str(STUB.parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_dir_shows_every_public_name() -> None:
    assert set(vk.__all__) <= set(dir(vk))


@pytest.mark.parametrize("name", sorted(vk.__all__))
def test_every_public_name_is_what_its_home_defines(name: str) -> None:
    home = import_module(homes()[name])
    assert getattr(vk, name) is getattr(home, name)


def documented() -> Iterator[tuple[str, str]]:
    """Yield each public class, function, method and property, with its own docstring."""
    for name in sorted(vk.__all__):
        public = getattr(vk, name)
        if not inspect.isclass(public) and not inspect.isfunction(public):
            continue
        yield (
            name,
            vars(public).get("__doc__") or "" if inspect.isclass(public) else public.__doc__ or "",
        )
        for member, value in vars(public).items():
            function = getattr(value, "__func__", None) or getattr(value, "fget", None) or value
            if not member.startswith("_") and inspect.isfunction(function):
                yield f"{name}.{member}", function.__doc__ or ""


@pytest.mark.parametrize(("name", "text"), list(documented()))
def test_every_public_name_has_a_docstring(name: str, text: str) -> None:
    assert text.strip(), f"{name} has no docstring"
    assert text.split()[0] not in {"Whether", "Tell", "Tells", "Say", "Says"}, f"{name}: {text}"


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
