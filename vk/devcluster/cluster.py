"""The embedded cluster: an API server in this process, for `vk dev` and for tests.

`async with DevCluster(folder) as cluster:` serves on loopback until the block ends, with a
certificate authority, keys, kubeconfig files and an identity of its own in the folder. Everything
else is in memory and gone with it. Needs trustme, which the ``dev`` and ``test`` extras bring.

Note: there are no controllers but those that a node notices: namespaces get their service
account, and the collector deletes dependents and contents. Nothing schedules pods; that is
`vk.devcluster.controllers.scheduler`.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import socket
import ssl
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Self

import attrs
from aiohttp import web

from vk.aio.tasks import supervise
from vk.devcluster import bootstrap, priorities
from vk.devcluster.addresses import Addresses
from vk.devcluster.app import App, request_of
from vk.devcluster.auth.access import RequestAccess
from vk.devcluster.auth.accounts import Accounts
from vk.devcluster.auth.certificates import Authority
from vk.devcluster.auth.rbac import Rules
from vk.devcluster.auth.reviews import Reviews
from vk.devcluster.auth.tokens import TokenIssuer
from vk.devcluster.controllers.garbage_collector import Collector
from vk.devcluster.controllers.node_taints import NodeTaints
from vk.devcluster.creation import Creator
from vk.devcluster.deletion import Remover
from vk.devcluster.kinds import KINDS, Kind
from vk.devcluster.names import new_metadata
from vk.devcluster.private_files import open_private, private_folder, write_private
from vk.devcluster.proxy.kubelets import Kubelets
from vk.devcluster.proxy.metrics import MetricsApi
from vk.devcluster.proxy.proxy import Proxy
from vk.devcluster.reads import Reader
from vk.devcluster.storage.storage import Storage
from vk.devcluster.storage.watches import Watcher
from vk.devcluster.subresources import Subresources
from vk.devcluster.updates import Updater
from vk.devcluster.validation import for_create
from vk.errors import ConfigError
from vk.models.time import now

__all__ = ["DevCluster"]

_HOST = "127.0.0.1"
_MASTERS = "system:masters"
_SHUTDOWN_TIMEOUT = 0.02  # seconds that open watches get at the end
_LINE = 64 * 1024  # bytes of a request's first line: long selectors
_YEAR = 365 * 24 * 3600.0
_STORED = {kind.plural: kind for kind in reversed(KINDS) if kind.stored}


@attrs.define(eq=False)
class DevCluster:
    """An API server on loopback; an async context manager, to be entered once.

    Entering raises ConfigError, one line, where another cluster uses the folder, where it or a file
    in it is not this user's alone, or the port is taken. ``port=0`` takes any free one.
    """

    folder: Path = attrs.field(converter=Path)
    """Certificates, keys and kubeconfig files go here; made if missing, else of this user alone."""
    port: int = attrs.field(default=0, kw_only=True)
    storage: Storage = attrs.field(factory=Storage, kw_only=True)
    """The objects of the cluster; another one has other limits."""
    url: str = attrs.field(default="", init=False)
    """The address of the API server."""
    _authority: Authority = attrs.field(init=False, repr=False)
    _tokens: TokenIssuer = attrs.field(init=False, repr=False)
    _stack: contextlib.AsyncExitStack = attrs.field(
        factory=contextlib.AsyncExitStack, init=False, repr=False
    )

    async def __aenter__(self) -> Self:
        """Start serving; on failure everything is undone."""
        async with contextlib.AsyncExitStack() as stack:
            private_folder(self.folder)
            stack.enter_context(_lock(self.folder / "lock"))
            listener = stack.enter_context(contextlib.closing(_listen(self.port)))
            self.port = listener.getsockname()[1]
            self.url = f"https://{_HOST}:{self.port}"
            self._authority = Authority(self.folder)
            collector, taints = (
                Collector(self.storage, Remover(self.storage)),
                NodeTaints(self.storage),
            )
            app = self._app()
            stack.push_async_callback(app.proxy.kubelets.close)
            stack.push_async_callback(app.metrics.close)
            await self._serve(app, listener, stack)
            for name, run in (("collector", collector.run), ("node taints", taints.run)):
                task = asyncio.create_task(_supervised(name, run))
                stack.push_async_callback(_ended, task)
            self._write_kubeconfig("admin", user="admin", groups=[_MASTERS])
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        """Stop serving; open watches end."""
        await self._stack.aclose()

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of a member of system:masters."""
        return self.folder / "admin.kubeconfig"

    @property
    def certificate_authority(self) -> Path:
        """The certificate that signs the server's and the clients' certificates."""
        return self._authority.pair.certificate

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig with a client certificate for ``user`` in ``groups``."""
        return self._write_kubeconfig(_file_name(user), user=user, groups=groups)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Write a kubeconfig with a token of that ServiceAccount.

        Raises ConfigError where there is no such account.
        """
        account = self.storage.get(_STORED["serviceaccounts"], namespace, name)
        if account is None:
            raise ConfigError(f"no service account {namespace}/{name} in the embedded cluster")
        token, _ = self._tokens.mint(account, seconds=_YEAR)
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        return self._authority.kubeconfig(path, server=self.url, user={"token": token})

    def _write_kubeconfig(self, name: str, *, user: str, groups: Sequence[str]) -> Path:
        pair = self._authority.client(name, user=user, groups=groups)
        files = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
        path = self.folder / f"{name}.kubeconfig"
        return self._authority.kubeconfig(path, server=self.url, user=files)

    def _app(self) -> App:
        """Build the server, and store what a new cluster has."""
        storage, authority = self.storage, self.certificate_authority.read_text()
        self._tokens = tokens = TokenIssuer(storage)
        accounts, addresses = Accounts(storage, authority, self._make), Addresses(storage)
        remover = Remover(storage)
        for plural, obj in bootstrap.objects(authority, cluster_uid=self._cluster_uid()):
            self._make(_STORED[plural], obj)
        access = RequestAccess(tokens, Rules(storage))
        creator = Creator(storage, (priorities.admit, accounts.admit, addresses.admit))
        updater = Updater(storage, creator, access.check)
        pair = self._authority.client("kubelet-client", user=bootstrap.KUBELET_CLIENT)
        kubelets = Kubelets(storage, pair)
        return App(
            address=f"{_HOST}:{self.port}",
            access=access,
            reader=Reader(storage),
            creator=creator,
            updater=updater,
            remover=remover,
            watcher=Watcher(storage),
            subresources=Subresources(storage, updater, remover, tokens),
            reviews=Reviews(access),
            proxy=Proxy(storage, kubelets, access.check),
            metrics=MetricsApi(storage, kubelets),
        )

    def _cluster_uid(self) -> str:
        """Return the UID of kube-system, by which nodes know a cluster: one for each folder.

        So a later cluster on the folder can end the workloads that an earlier one left.
        """
        path = self.folder / "cluster-uid"
        if not path.exists():
            write_private(path, str(uuid.uuid4()).encode())
        return path.read_text()

    def _make(self, kind: Kind, obj: dict[str, Any]) -> dict[str, Any]:
        """Store an object of the server's own, which may have a UID."""
        made, uid = for_create(kind, obj), obj["metadata"].get("uid")
        made["metadata"] = new_metadata(made["metadata"], now()) | ({"uid": uid} if uid else {})
        return self.storage.create(kind, made)

    async def _serve(
        self, app: App, listener: socket.socket, stack: contextlib.AsyncExitStack
    ) -> None:
        keys = self._authority.server("server", _HOST, "localhost", "kubernetes.default.svc")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(keys.certificate, keys.key)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(self.certificate_authority)
        server = web.Server(
            app.handle,
            request_factory=request_of,
            handler_cancellation=True,  # the end of a watch is noticed when its client leaves
            access_log=None,
            max_line_size=_LINE,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_TIMEOUT)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.SockSite(runner, listener, ssl_context=context).start()


async def _supervised(name: str, run: Callable[[], Awaitable[None]]) -> None:
    await supervise(name, run)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _file_name(user: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", user).strip("-.") or "user"


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, port))
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(f"port {port} on {_HOST} is in use by another program") from None
        raise ConfigError(f"cannot listen on port {port}: {error.strerror}") from None
    return listener


@contextlib.contextmanager
def _lock(path: Path) -> Any:
    """Hold the lock of a folder; raises ConfigError when another process does."""
    with os.fdopen(open_private(path, os.O_WRONLY), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(f"another cluster uses the folder {path.parent}") from None
        yield
