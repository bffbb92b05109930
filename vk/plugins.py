"""Plugins: finds the providers that installed distributions and files bring, one plugin at a time.

In come the entry points of group ``vk`` (modules with `vk.hookspecs` hooks) and single files, out
goes a provider's class, checked. An installed plugin that cannot be used is kept as a PluginError
naming its distribution, and the others still load; a file that was named must be usable.
Called once by `vk.cli`, before anything is opened. VK_PLUGINS names the only installed plugins to
load, VK_PLUGINS_BLOCKED those not to load: entry-point names, with commas.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from importlib.machinery import SourceFileLoader
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from traceback import extract_tb
from types import FunctionType, ModuleType
from typing import Any, Self

import attrs
import pluggy

from vk import hookspecs
from vk.errors import ConfigError, PluginError
from vk.provider import Provider

__all__ = ["Origin", "Plugins", "Registered", "make_manager"]


@attrs.frozen
class Origin:
    """Where a plugin comes from: its entry point in a distribution, or the path of its file."""

    plugin: str
    distribution: str = ""
    """Empty for a file."""

    def __str__(self) -> str:
        if not self.distribution:
            return f"plugin {self.plugin}"
        return f"plugin {self.plugin!r} of distribution {self.distribution!r}"

    def error(self, message: str) -> PluginError:
        """Return an error that names it."""
        return PluginError(f"{self}: {message}", plugin=self.plugin, distribution=self.distribution)


@attrs.frozen
class Registered:
    """A provider under its name; ``target`` is its class or ``"module:Class"``."""

    name: str
    target: type[Provider] | str
    origin: Origin

    @property
    def distribution(self) -> str:
        """Name of the distribution that it comes from; empty: a file."""
        return self.origin.distribution


@attrs.frozen
class Plugins:
    """What the installed plugins registered, and the errors of those that cannot be used."""

    providers: Mapping[str, Registered]
    broken: tuple[PluginError, ...] = ()

    @classmethod
    def load(
        cls, environment: Mapping[str, str] | None = None, *, files: Iterable[Path] = ()
    ) -> Self:
        """Load ``files``, which come first, and every plugin that the environment allows.

        Raises PluginError for a file that cannot be used; never for another plugin.
        """
        manager = make_manager()
        providers: dict[str, Registered] = {}
        broken: list[PluginError] = []
        for file in files:
            for registered in _register(manager, Origin(str(file)), partial(_run, file)):
                first = providers.setdefault(registered.name, registered)
                if first is not registered:
                    raise _duplicate(first, registered)
        for entry in _allowed(os.environ if environment is None else environment):
            try:
                found = _register(manager, Origin(entry.name, _distribution(entry)), entry.load)
            except PluginError as error:
                broken.append(error)
                continue
            for registered in found:
                first = providers.setdefault(registered.name, registered)
                if first is not registered:
                    broken.append(_duplicate(first, registered))
        return cls(providers, tuple(broken))

    def provider_class(self, name: str) -> type[Provider]:
        """Import and check the class of provider ``name``.

        Raises ConfigError where there is none, listing those there are and the broken plugins, and
        PluginError, naming the distribution, where the class cannot be used.
        """
        registered = self.providers.get(name)
        if registered is None:
            known = ", ".join(sorted(self.providers)) or "none"
            faults = "".join(f"; broken: {error}" for error in self.broken)
            raise ConfigError(f"--provider: unknown provider {name!r}, known: {known}{faults}")
        found = _import(registered)
        faults = "; ".join(_faults(found))
        if faults:
            raise registered.origin.error(f"provider {name!r} cannot be used: {faults}")
        return found  # type: ignore[no-any-return] # _faults saw that it is a subclass


def make_manager() -> pluggy.PluginManager:
    """Return a new manager that knows the hooks of vk and has no plugin yet."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def _allowed(environment: Mapping[str, str]) -> list[EntryPoint]:
    only, blocked = (
        {name.strip() for name in environment.get(variable, "").split(",")} - {""}
        for variable in ("VK_PLUGINS", "VK_PLUGINS_BLOCKED")
    )
    found = [
        entry
        for entry in entry_points(group=hookspecs.PROJECT)
        if entry.name not in blocked and (not only or entry.name in only)
    ]
    return sorted(found, key=lambda entry: (_distribution(entry), entry.name))


def _distribution(entry: EntryPoint) -> str:
    try:
        return str(entry.dist.name) if entry.dist else "unknown"
    except Exception:  # noqa: BLE001 # metadata of a half-removed distribution raises anything
        return "unknown"


def _run(file: Path) -> ModuleType:
    """Run a file as a module of its own, under a name that no import of another one takes.

    It may import what lies beside it, as a script may; installed modules come before that.
    """
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    name = f"vk_plugin_{file.stem}"
    while name in sys.modules:
        name += "_"
    spec = spec_from_loader(name, SourceFileLoader(name, str(file)))
    assert spec is not None and spec.loader is not None  # since a loader was given
    module = sys.modules[name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _register(
    manager: pluggy.PluginManager, origin: Origin, load: Callable[[], Any]
) -> list[Registered]:
    """Load one plugin and return what it registers: everything, or PluginError and nothing."""
    found: list[Registered] = []

    def register(name: str, provider: type[Provider] | str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a provider's name is a text that is not empty, not {name!r}")
        if not isinstance(provider, str | type):
            raise TypeError(f"provider {name!r}: expected a class or 'module:Class'")
        found.append(Registered(name, provider, origin))

    try:
        plugin = load()
        others = [other for _, other in manager.list_name_plugin()]
        manager.register(plugin, str(origin))
        hook = manager.subset_hook_caller("vk_register_providers", remove_plugins=others)
        hook(register=register)
    except (Exception, SystemExit) as error:  # foreign code: anything may come
        raise origin.error(_place(error, origin.plugin) + _told(error)) from error
    if not found and not origin.distribution:
        expected = "a function vk_register_providers(register) with @vk.hookimpl that calls it"
        raise origin.error(f"registers no provider, expected {expected}")
    return found


def _duplicate(first: Registered, second: Registered) -> PluginError:
    return second.origin.error(f"provider {second.name!r} is registered already by {first.origin}")


def _import(registered: Registered) -> Any:
    if not isinstance(registered.target, str):
        return registered.target
    module, colon, name = registered.target.partition(":")
    if not (module and colon and name):
        raise registered.origin.error(f"expected 'module:Class', not {registered.target!r}")
    try:
        return getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # foreign code: anything may come
        raise registered.origin.error(
            f"{registered.target} cannot be imported: {_told(error)}"
        ) from error


def _faults(found: Any) -> Iterable[str]:
    """Say what keeps ``found`` from being a provider; nothing: it is one."""
    if not (isinstance(found, type) and issubclass(found, Provider)):
        yield f"expected a subclass of vk.Provider, not {found!r}"
        return
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        yield f"missing: {', '.join(missing)}"
    if found.config_class is not None and not attrs.has(found.config_class):
        yield f"config_class: expected an attrs class, not {found.config_class!r}"
    for name, base in vars(Provider).items():
        if isinstance(base, FunctionType) and (kind := _kind(base)) != "function":
            given = _kind(inspect.getattr_static(found, name))
            if given != kind:
                hint = "; yield the items instead of returning an iterator"
                returns = kind == "an async generator" and given == "a coroutine function"
                text = f"{name}: expected {kind} as in vk.Provider, not {given}"
                yield text + hint if returns else text


def _kind(method: Any) -> str:
    checks: tuple[tuple[str, Callable[[Any], bool]], ...] = (
        ("an async generator", inspect.isasyncgenfunction),
        ("a coroutine function", inspect.iscoroutinefunction),
    )
    # A plain function around another (functools.wraps) returns what the inner one returns.
    for candidate in (method, inspect.unwrap(method) if callable(method) else method):
        for kind, check in checks:
            if check(candidate):
                return kind
    return "function"


def _place(error: BaseException, file: str) -> str:
    """Say which line of ``file`` an error went through last; empty: none."""
    frames = extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f"line {lines[-1]}: " if lines else ""


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
