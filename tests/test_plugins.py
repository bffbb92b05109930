"""Plugins that come in distributions written to a folder; the real entry-point machinery."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from vk.errors import ConfigError, PluginError
from vk.plugins import Plugins

_spec = spec_from_file_location("plugin_files", Path(__file__).parent / "cli/plugin_files.py")
assert _spec is not None and _spec.loader is not None
plugin_files = module_from_spec(_spec)
_spec.loader.exec_module(plugin_files)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    written: list[str] = []

    def write_one(distribution: str, **options: Any) -> None:
        written.append(distribution.replace("-", "_"))
        plugin_files.write(tmp_path, distribution, **options)

    yield write_one
    for name in set(sys.modules) - before:
        if name in written:
            del sys.modules[name]


Write = Callable[..., None]


def load(**environment: str) -> Plugins:
    return Plugins.load(environment)


def test_a_provider_of_an_installed_distribution_is_found(write: Write) -> None:
    write("vkt-fake", providers={"fake": "vkt_fake:Fake"})
    plugins = load(VK_PLUGINS="vkt_fake")
    assert plugins.broken == ()
    assert plugins.providers["fake"].distribution == "vkt-fake"
    assert plugins.provider_class("fake").__name__ == "Fake"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("this is no python", "SyntaxError"),
        (
            "import vk\n@vk.hookimpl\ndef vk_register_providers(register): 1 / 0\n",
            "ZeroDivisionError",
        ),
        (
            "import vk\n@vk.hookimpl\ndef vk_register_providers(other): pass\n",
            "PluginValidationError",
        ),
        ("import vk\n@vk.hookimpl\ndef vk_register_providers(register): register('', 'a:B')", "''"),
    ],
)
def test_a_broken_plugin_names_its_distribution_and_the_others_load(
    write: Write, code: str, told: str
) -> None:
    write("vkt-broken", code=code)
    write("vkt-fake", providers={"fake": "vkt_fake:Fake"})
    plugins = load(VK_PLUGINS="vkt_fake,vkt_broken")
    (error,) = plugins.broken
    assert (error.plugin, error.distribution) == ("vkt_broken", "vkt-broken")
    assert told in str(error) and "vkt-broken" in str(error) and "\n" not in str(error)
    assert plugins.provider_class("fake").__name__ == "Fake"


def test_an_unknown_provider_lists_the_known_and_the_broken(write: Write) -> None:
    write("vkt-broken", code="import nothing_of_that_name")
    write("vkt-fake", providers={"fake": "vkt_fake:Fake"})
    with pytest.raises(ConfigError, match=r"'nope', known: fake; broken: .*'vkt-broken'"):
        load(VK_PLUGINS="vkt_fake,vkt_broken").provider_class("nope")


def test_a_second_provider_of_one_name_is_an_error_naming_both_distributions(write: Write) -> None:
    write("vkt-one", providers={"same": "vkt_one:Fake"})
    write("vkt-two", providers={"same": "vkt_two:Fake", "other": "vkt_two:Fake"})
    plugins = load(VK_PLUGINS="vkt_one,vkt_two")
    (error,) = plugins.broken
    assert "vkt-one" in str(error) and "vkt-two" in str(error)
    assert plugins.providers["same"].distribution == "vkt-one"
    assert "other" in plugins.providers


def test_plugins_can_be_blocked(write: Write) -> None:
    write("vkt-one", providers={"one": "vkt_one:Fake"})
    write("vkt-two", providers={"two": "vkt_two:Fake"})
    providers = load(VK_PLUGINS_BLOCKED="vkt_one").providers
    assert "one" not in providers and "two" in providers


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("vkt_fake:Partial", "missing: create_pod, delete_pod, list_pods"),
        ("vkt_fake:Wrong", "ping: expected a coroutine function as in vk.Provider, not function"),
        ("vkt_fake:Wrong", "watch_pods: expected an async generator"),
        ("vkt_fake:Wrong", "logs: expected an async generator as in vk.Provider, not a coroutine"),
        ("vkt_fake:Wrong", "yield the items instead of returning an iterator"),
        ("vkt_fake:Config", "expected a subclass of vk.Provider"),
        ("vkt_fake:Nowhere", "cannot be imported: AttributeError"),
        ("nothing_of_that_name:A", "cannot be imported: ModuleNotFoundError"),
        ("vkt_fake", "expected 'module:Class'"),
    ],
)
def test_a_class_that_cannot_be_used_is_refused(write: Write, target: str, told: str) -> None:
    write("vkt-fake", providers={"fake": target})
    with pytest.raises(PluginError, match="'vkt-fake'") as caught:
        load(VK_PLUGINS="vkt_fake").provider_class("fake")
    assert told in str(caught.value)


ONE_FILE = """
import vk

class Mine(vk.Provider):
    async def describe_node(self): return vk.NodeInfo(capacity={"cpu": "1"})
    async def create_pod(self, pod): return None
    async def delete_pod(self, key, *, grace_period): return None
    async def list_pods(self): return []

@vk.hookimpl
def vk_register_providers(register):
    register("mine", Mine)
"""


def file(folder: Path, code: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(code)
    return path


def test_a_file_brings_a_provider(tmp_path: Path) -> None:
    plugins = Plugins.load({}, files=[file(tmp_path, ONE_FILE)])
    assert plugins.provider_class("mine").__name__ == "Mine"


def test_a_file_may_import_what_lies_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    file(tmp_path, "SIZE = 3", "vkt_beside.py")
    code = "import vkt_beside\nassert vkt_beside.SIZE == 3\n" + ONE_FILE
    assert "mine" in Plugins.load({}, files=[file(tmp_path, code)]).providers


def test_a_files_name_takes_nothing_from_modules_of_that_name(tmp_path: Path) -> None:
    import json

    code = "import json\njson.dumps({})\n" + ONE_FILE
    plugins = Plugins.load({}, files=[file(tmp_path, code, "json.py")])
    assert plugins.provider_class("mine").__name__ == "Mine"
    assert sys.modules["json"] is json


def test_a_file_comes_before_an_installed_provider_of_its_name(
    tmp_path: Path, write: Write
) -> None:
    write("vkt-other", providers={"mine": "vkt_other:Fake"})
    path = file(tmp_path, ONE_FILE)
    plugins = Plugins.load({"VK_PLUGINS": "vkt_other"}, files=[path])
    assert plugins.provider_class("mine").__name__ == "Mine"
    (error,) = plugins.broken
    assert "vkt-other" in str(error) and str(path) in str(error)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (None, "FileNotFoundError"),
        ("import vk\n\nnothing_of_that_name\n", "line 3: NameError"),
        ("import vk\n", "registers no provider, expected a function vk_register_providers"),
        ("this is no python", "SyntaxError"),
        (ONE_FILE.replace("Mine)", "Partial())"), "line 12: NameError"),
        (ONE_FILE + "    register('mine', Mine)\n", "'mine' is registered already"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, code: str | None, told: str) -> None:
    path = tmp_path / "mine.py" if code is None else file(tmp_path, code)
    with pytest.raises(PluginError) as caught:
        Plugins.load({}, files=[path])
    assert str(caught.value).startswith(f"plugin {path}: ") and told in str(caught.value)
