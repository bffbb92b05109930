"""`vk doctor`: is everything right for this node? One line each, with what to do about it.

In: the same settings as the node's own, so the same flags, environment and files work. Out: lines,
or JSON, and the exit code: 0 all is well, 1 something is not. Nothing is changed, and no lease is
taken: it works before there is a node, from a laptop, and beside the process that runs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import attrs
import click

from vk._version import __version__
from vk.cli.checks import ClusterChecks
from vk.cli.provider_config import load_for
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.permissions import features_of, wanted_permissions
from vk.errors import ClusterError, ConfigError, ProviderError
from vk.models.check import Check
from vk.plugins import Plugins
from vk.pods.resolve.references import References
from vk.provider import Provider, ProviderContext
from vk.settings import Settings

__all__ = ["doctor"]

_PATIENCE = 60.0
"""Seconds that a provider may take for one check."""
_REPORT = "a check is to say what it found: tell the provider's author"


def doctor(settings: Settings, *, as_json: bool) -> int:
    """Print every check and return the exit code. Raises ConfigError and PluginError."""
    provider_class = Plugins.load(files=settings.plugins).provider_class(settings.provider)
    found = asyncio.run(_examine(settings, provider_class, quiet=as_json))
    if as_json:
        click.echo(json.dumps([attrs.asdict(check) for check in found], indent=2))
    elif all(check.ok for check in found):
        click.echo("all is well")
    return 0 if all(check.ok for check in found) else 1


async def _examine(
    settings: Settings, provider_class: type[Provider], *, quiet: bool
) -> Sequence[Check]:
    found: list[Check] = []
    async for check in _every(settings, provider_class):
        found.append(check)
        if not quiet:
            _show(check)
    return found


def _show(check: Check) -> None:
    click.echo(f"{'ok  ' if check.ok else 'FAIL'}  {check.name}: {check.text}")
    if check.advice:
        click.echo(f"      -> {check.advice}")


async def _every(settings: Settings, provider_class: type[Provider]) -> AsyncIterator[Check]:
    try:
        access = await load_access(settings.kubeconfig)
    except ConfigError as error:
        yield Check("kubeconfig", False, str(error), "name one with --kubeconfig or KUBECONFIG")
        async for check in _provider(None, settings, provider_class, ""):
            yield check
        return
    async with Client(access, user_agent=f"vk-doctor/{__version__}", connections=4) as client:
        cluster = ClusterChecks(client, settings)
        reached = await cluster.api_server()
        yield reached
        if reached.ok:
            async for check in _cluster(cluster, settings, provider_class):
                yield check
        async for check in _provider(client, settings, provider_class, cluster.cluster_uid):
            yield check


async def _cluster(
    cluster: ClusterChecks, settings: Settings, provider_class: type[Provider]
) -> AsyncIterator[Check]:
    features = features_of(settings, provider_class)
    try:
        yield await cluster.clock()
        async for check in cluster.permissions(wanted_permissions(features)):
            yield check
        yield await cluster.address()
    except ClusterError as error:
        yield Check("API server", False, str(error), "it went away; try again")


async def _provider(
    client: Client | None, settings: Settings, provider_class: type[Provider], cluster_uid: str
) -> AsyncIterator[Check]:
    try:
        config = load_for(settings, provider_class)
    except ConfigError as error:
        advice = f"`vk providers {settings.provider}` shows the keys"
        yield Check("configuration", False, str(error), advice)
        return
    yield Check("configuration", True, f"provider {settings.provider} takes it")
    try:
        provider = provider_class(_context(client, settings, config, cluster_uid))
        async with aclosing(provider.checks()) as checks:  # type: ignore[type-var] # by contract
            while True:
                async with asyncio.timeout(_PATIENCE):
                    yield await anext(checks)
    except StopAsyncIteration:
        return
    except ProviderError as error:
        yield Check("provider", False, str(error), _REPORT)
    except Exception as error:  # noqa: BLE001 # foreign code: anything may come
        # Its text may hold a secret; its class does not.
        yield Check("provider", False, f"its checks failed: {type(error).__name__}", _REPORT)


def _context(
    client: Client | None, settings: Settings, config: Any, cluster_uid: str
) -> ProviderContext:
    """Return a context through which nothing can be changed; without ``client`` nothing is read."""
    references = None if client is None else References(client)
    return ProviderContext.read_only(
        "vk doctor holds no lease and changes nothing",
        node_name=settings.node_name,
        cluster_uid=cluster_uid,
        config=config,
        secret=None if references is None else references.secret,
        config_map=None if references is None else references.config_map,
    )
