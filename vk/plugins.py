"""Plugins: finds the providers that installed distributions bring, one plugin at a time.

In come the entry points of group ``vk`` (modules with `vk.hookspecs` hooks), out goes a provider's
class, checked. A plugin that cannot be used is kept as a PluginError naming its distribution, and
the others still load. Called once by `vk.cli`, before anything is opened. VK_PLUGINS names the only
plugins to load, VK_PLUGINS_BLOCKED those not to load: entry-point names, with commas.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import FunctionType
from typing import Any, Self

import attrs
import pluggy

from vk import hookspecs
from vk.errors import ConfigError, PluginError
from vk.provider import Provider

__all__ = ["Plugins", "Registered", "make_manager"]


@attrs.frozen
class Registered:
    """A provider under its name; ``target`` is its class or ``"module:Class"``."""

    name: str
    target: type[Provider] | str
    plugin: str
    distribution: str


@attrs.frozen
class Plugins:
    """What the installed plugins registered, and the errors of those that cannot be used."""

    providers: Mapping[str, Registered]
    broken: tuple[PluginError, ...] = ()

    @classmethod
    def load(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Load every plugin that the environment allows; never raises for a broken one."""
        manager = make_manager()
        providers: dict[str, Registered] = {}
        broken: list[PluginError] = []
        for entry in _allowed(os.environ if environment is None else environment):
            try:
                found = _register(manager, entry)
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
            raise _error(f"provider {name!r} cannot be used: {faults}", registered)
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


def _register(manager: pluggy.PluginManager, entry: EntryPoint) -> list[Registered]:
    """Load one plugin and return what it registers: everything, or PluginError and nothing."""
    distribution = _distribution(entry)
    found: list[Registered] = []

    def register(name: str, provider: type[Provider] | str) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"a provider's name is a text that is not empty, not {name!r}")
        if not isinstance(provider, str | type):
            raise TypeError(f"provider {name!r}: expected a class or 'module:Class'")
        found.append(Registered(name, provider, entry.name, distribution))

    try:
        plugin = entry.load()
        others = [other for _, other in manager.list_name_plugin()]
        manager.register(plugin, f"{distribution}:{entry.name}")
        hook = manager.subset_hook_caller("vk_register_providers", remove_plugins=others)
        hook(register=register)
    except (Exception, SystemExit) as error:  # foreign code: anything may come
        message = f"plugin {entry.name!r} of distribution {distribution!r}: {_told(error)}"
        raise PluginError(message, plugin=entry.name, distribution=distribution) from error
    return found


def _duplicate(first: Registered, second: Registered) -> PluginError:
    return _error(
        f"provider {second.name!r} is registered already by plugin {first.plugin!r}"
        f" of distribution {first.distribution!r}",
        second,
    )


def _import(registered: Registered) -> Any:
    if not isinstance(registered.target, str):
        return registered.target
    module, colon, name = registered.target.partition(":")
    if not (module and colon and name):
        raise _error(f"expected 'module:Class', not {registered.target!r}", registered)
    try:
        return getattr(import_module(module), name)
    except (Exception, SystemExit) as error:  # foreign code: anything may come
        raise _error(
            f"{registered.target} cannot be imported: {_told(error)}", registered
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
                yield f"{name}: expected {kind} as in vk.Provider, not {given}"


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


def _error(message: str, registered: Registered) -> PluginError:
    return PluginError(
        f"plugin {registered.plugin!r} of distribution {registered.distribution!r}: {message}",
        plugin=registered.plugin,
        distribution=registered.distribution,
    )


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
