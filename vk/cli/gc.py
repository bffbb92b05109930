"""`vk gc`: the workloads of a node that no pod asks for, listed, and ended unless it is a dry run.

In: the same settings as the node's own. Out: a line each, with age and what the provider notes on
its pods, such as size and price. It is the core's rule for orphans, once: two lists, and a live
read of the pod. Ending them takes the node's lease, so only one process acts.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import click

from vk._version import __version__
from vk.cli.provider_config import load_for
from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.cluster.resources import LEASES, NAMESPACES, PODS
from vk.errors import (
    NotFoundError,
    ObjectNotFoundError,
    ProviderError,
    TemporaryError,
    VkError,
)
from vk.models.keys import PodKey
from vk.models.status import PodStatus
from vk.models.time import now
from vk.node.identity import StateFolder
from vk.node.lease import Lease
from vk.plugins import Plugins
from vk.pods.resolve.references import References
from vk.pods.sync.gateway import OutcomeUnknownError, ProviderGateway
from vk.pods.sync.orphans import Orphans
from vk.pods.sync.pod_view import PodView
from vk.pods.sync.records import Records
from vk.provider import Provider, ProviderContext, open_provider
from vk.settings import Settings

__all__ = ["gc"]

_DRY_RUN = "a dry run changes nothing"
_APART = 5.0
"""Seconds between the two lists."""


def gc(settings: Settings, *, dry_run: bool) -> int:
    """List orphans and end them; return the exit code: 1 where one stays. Raises VkError."""
    provider_class = Plugins.load(files=settings.plugins).provider_class(settings.provider)
    return asyncio.run(_run(settings, provider_class, dry_run=dry_run))


async def _run(settings: Settings, provider_class: type[Provider], *, dry_run: bool) -> int:
    config = load_for(settings, provider_class)
    access = await load_access(settings.kubeconfig)
    async with (
        Client(access, user_agent=f"vk-gc/{__version__}", connections=4) as client,
        _acting(client, settings, dry_run=dry_run) as check_lease,
    ):
        records = Records()
        selector = f"spec.nodeName={settings.node_name}"
        for pod in (await client.list(PODS, field_selector=selector)).items:
            records.observe(pod)
        context = await _context(client, settings, config, records, check_lease)
        async with open_provider(provider_class(context)) as provider:
            gateway = ProviderGateway(provider=provider, check_lease=check_lease)
            orphans = Orphans(gateway=gateway, records=records, client=client, settings=settings)
            return await _collect(orphans, gateway, dry_run=dry_run)


async def _collect(orphans: Orphans, gateway: ProviderGateway, *, dry_run: bool) -> int:
    listed: Mapping[str, PodStatus] = {}
    for wait in (0.0, _APART):
        await asyncio.sleep(wait)
        listed = {status.key.uid: status for status in await gateway.list_pods()}
        orphans.consider(listed)
    found, stay = 0, 0
    async for key in orphans.proved():
        found += 1
        ended = dry_run or await _end(gateway, key)
        stay += not ended
        click.echo(f"{_told(listed[key.uid])}: {_outcome(ended, dry_run=dry_run)}")
    left = orphans.suspected - found
    click.echo(f"{found} orphans of {len(listed)} workloads")
    if left:
        click.echo(f"{left} more are not proved yet, or left for the next run")
    return 1 if stay else 0


async def _end(gateway: ProviderGateway, key: PodKey) -> bool:
    try:
        await gateway.delete_pod(key, grace_period=0.0)
    except NotFoundError:
        return True
    except (ProviderError, OutcomeUnknownError) as error:
        click.echo(f"{key}: {error}", err=True)
        return False
    return True


def _told(status: PodStatus) -> str:
    created = status.created_at
    age = "" if created is None else f", {(now() - created).total_seconds() / 60:.0f} min old"
    notes = [f"{name.rpartition('/')[2]}={text}" for name, text in status.annotations.items()]
    return " ".join([f"{status.key} {status.backend_id}{age}", *sorted(notes)])


def _outcome(ended: bool, *, dry_run: bool) -> str:
    if dry_run:
        return "would be ended"
    return "ended" if ended else "stays"


@asynccontextmanager
async def _acting(
    client: Client, settings: Settings, *, dry_run: bool
) -> AsyncIterator[Callable[[], None]]:
    """Give what says whether this process may act: it holds the lease, or it never may."""
    if dry_run:
        yield _refuse
        return
    name, duration = settings.node_name, settings.node_lease_duration
    with suppress(ObjectNotFoundError):  # what is wrong is said once, before the wait begins
        await client.get(LEASES, name, namespace="kube-node-lease")
    with StateFolder(settings.state_folder).lock(name) as identity:
        lease = Lease(client, node_name=name, identity=identity, duration=duration)
        try:
            async with asyncio.timeout(duration * 1.5):
                await lease.acquire()
        except TimeoutError:
            text = f"node {name} is run by {lease.holder}, which ends orphans itself: stop it"
            if not lease.holder:
                text = f"the lease of node {name} cannot be written: apply what `vk rbac` prints"
            raise VkError(f"{text}, or look with --dry-run") from None
        renewal = asyncio.ensure_future(lease.run())
        try:
            yield lease.check
        finally:
            renewal.cancel()
            with suppress(asyncio.CancelledError):
                await renewal
            await lease.release()


def _refuse() -> None:
    raise TemporaryError(_DRY_RUN)


async def _context(
    client: Client,
    settings: Settings,
    config: Any,
    records: Records,
    check_lease: Callable[[], None],
) -> ProviderContext:
    namespace = await client.get(NAMESPACES, "kube-system")
    references = References(client)
    context = ProviderContext.read_only(
        _DRY_RUN,
        node_name=settings.node_name,
        cluster_uid=str(namespace["metadata"]["uid"]),
        config=config,
        pods=PodView(records),
        secret=references.secret,
        config_map=references.config_map,
    )
    return attrs.evolve(context, check_lease=check_lease)
