"""Where the API server is and who we are there: kubeconfig or the pod's ServiceAccount.

`vk.cluster.client_config` chooses among several kubeconfig files, as kubectl does.
kubernetes_asyncio takes the credentials from the choice; it is imported on first use only (2 s,
110 MB). What it leaves open is closed here: every credential is read again each minute (token
files, exec plugins shortly before they expire or every few minutes, GCP, OIDC) and at once after a
401; certificate files that changed give a new TLS context. A refresh that fails is logged and the
former credentials stay in use.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import ssl
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import attrs
import yaml

from vk.cluster.client_config import client_config, environment_proxy
from vk.cluster.exec_plugin import ExecPlugin
from vk.errors import ConfigError

__all__ = ["Access", "Credentials", "load_access"]

log = logging.getLogger(__name__)

_INTERVAL = 60.0  # s between two looks
_EXEC_INTERVAL = 240.0  # s between two runs of a plugin that names no expiry
_RETRY = 10.0  # s after a look that failed
_PATIENCE = 10.0  # s that one look may take: an exec plugin may hang


@attrs.frozen(kw_only=True)
class Credentials:
    """What one look at the configuration gave. ``authorization`` is the whole header value."""

    server: str
    proxy: str | None = None
    authorization: str | None = attrs.field(default=None, repr=False)
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None

    def files(self) -> tuple[tuple[str, int] | None, ...]:
        """Return path and time of change of each certificate file: differs when one changed."""
        return tuple(
            (path, os.stat(path).st_mtime_ns) if path else None
            for path in (self.ca_file, self.cert_file, self.key_file)
        )

    def context(self) -> ssl.SSLContext | None:
        """Return a new TLS context; None for a server without TLS."""
        if not self.server.startswith("https:"):
            return None
        made = ssl.create_default_context(cafile=self.ca_file)
        # Python 3.13 asks more of a CA than Kubernetes' own tools put into one.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if self.cert_file:
            made.load_cert_chain(self.cert_file, self.key_file)
        if not self.verify:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        return made


class Source(Protocol):
    """Reads the configuration. ``force`` distrusts what was read before."""

    async def read(self, force: bool) -> Credentials: ...

    @property
    def interval(self) -> float: ...


@attrs.define(eq=False)
class Access:
    """The way to one API server. Made by `load_access`; `Client` is its only user."""

    _source: Source = attrs.field(repr=False)
    _now: Credentials
    ssl_context: ssl.SSLContext | None = attrs.field(init=False, repr=False)
    _files: tuple[tuple[str, int] | None, ...] = attrs.field(init=False, repr=False)
    _next: float = attrs.field(init=False, repr=False)
    _done: float = attrs.field(init=False, repr=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._files = self._now.files()
        self.ssl_context = self._now.context()
        self._done = monotonic()
        self._next = self._done + self._source.interval

    @property
    def server(self) -> str:
        """The address of the API server, without a slash at the end."""
        return self._now.server

    @property
    def proxy(self) -> str | None:
        """The proxy on the way there."""
        return self._now.proxy

    @property
    def server_name(self) -> str | None:
        """The name that the server's certificate must carry; None: that of the address."""
        return self._now.server_name

    async def token(self) -> str | None:
        """Return the bearer token; None where certificates or a password identify us."""
        scheme, _, value = (await self.authorization() or "").partition(" ")
        return value if scheme == "Bearer" else None

    async def authorization(self) -> str | None:
        """Return the Authorization header, refreshed when it is due. Never raises for a refresh."""
        if monotonic() >= self._next and not self._lock.locked():
            async with self._lock:
                await self._refresh(force=False)
        return self._now.authorization

    async def refresh(self) -> None:
        """Read everything again now, after a 401. Callers that come together share one look."""
        asked = monotonic()
        async with self._lock:
            if self._done < asked:
                await self._refresh(force=True)

    def expire(self) -> None:
        """Make the next request look for changes first."""
        self._next = min(self._next, self._done + 1.0)

    async def _refresh(self, force: bool) -> None:
        self._next = monotonic() + _RETRY  # holds too if this look is cancelled
        try:
            async with asyncio.timeout(_PATIENCE):
                found = await self._source.read(force)
            self._take(found)
        except Exception as error:  # noqa: BLE001 # plugins and parsers raise anything
            log.warning("credentials not refreshed", extra={"error": _line(error)})
        else:
            self._next = monotonic() + self._source.interval
        self._done = monotonic()

    def _take(self, found: Credentials) -> None:
        if found.server != self._now.server:
            raise ConfigError(f"the server became {found.server}: restart to use it")
        # The token counts even if the certificates turn out to be unusable.
        self._now = attrs.evolve(self._now, authorization=found.authorization)
        files = found.files()
        if files != self._files or found.verify != self._now.verify:
            self.ssl_context = found.context()
            self._files = files
            log.info("certificates reloaded", extra={"server": found.server})
        self._now = found


async def load_access(kubeconfig: str = "") -> Access:
    """Find the cluster: ``kubeconfig``, else ``~/.kube/config``, else the pod's ServiceAccount.

    In a pod a kubeconfig that is not there means the ServiceAccount, as for the Go program.

    Raises ConfigError with one line that says what is wrong; nothing is sent to the API server.
    """
    default = os.path.join("~", ".kube", "config")
    paths = kubeconfig or (default if _is_file(default) else "")
    try:
        if paths and not any(_is_file(path) for path in paths.split(os.pathsep)):
            if not os.environ.get("KUBERNETES_SERVICE_HOST"):
                raise ConfigError(f"kubeconfig {paths} does not exist")
            log.warning("no kubeconfig there: the ServiceAccount is used", extra={"path": paths})
            paths = ""
        source: Source = _Kubeconfig(paths) if paths else _InCluster()
        return Access(source, await source.read(force=False))
    except ConfigError as error:
        text = str(error)
        if not paths or text.startswith("kubeconfig "):
            raise
        raise ConfigError(f"kubeconfig {paths}: {text}") from None
    except Exception as error:  # noqa: BLE001 # plugins and parsers raise anything
        where = f"kubeconfig {paths}" if paths else "no kubeconfig, and not in a pod"
        raise ConfigError(f"{where}: {_line(error)}") from None  # the cause may quote a token


@attrs.define(eq=False)
class _InCluster:
    interval: float = _INTERVAL

    async def read(self, force: bool) -> Credentials:
        from kubernetes_asyncio.client import Configuration
        from kubernetes_asyncio.config import load_incluster_config

        found = Configuration()
        load_incluster_config(found)  # type: ignore[no-untyped-call] # the library is half typed
        return _credentials(found)


@attrs.define(eq=False)
class _Kubeconfig:
    paths: str
    _loader: Any = attrs.field(default=None, init=False, repr=False)
    _plugin: ExecPlugin | None = attrs.field(default=None, init=False, repr=False)
    _proxy: str | None = attrs.field(default=None, init=False)
    _context: str | None = attrs.field(default=None, init=False)

    @property
    def interval(self) -> float:
        endless = self._plugin is not None and self._plugin.expires is None
        return _EXEC_INTERVAL if endless else _INTERVAL

    async def read(self, force: bool) -> Credentials:
        """Let the library's loader load once more: it keeps what has not expired."""
        from kubernetes_asyncio.client import Configuration

        found = Configuration()
        oidc = self._loader is not None and self._loader.provider == "oidc"
        if oidc and force:  # our refresh token may be newer than the file's
            _user(self._loader)["auth-provider"]["config"].value.pop("id-token", None)
        if self._loader is None or (force and not oidc):
            self._read_files()
        if self._plugin is not None:
            _user(self._loader).value.update(await self._plugin.credential(force))
        await _load(self._loader, found)
        return attrs.evolve(_credentials(found), proxy=self._proxy)

    def _read_files(self) -> None:
        from kubernetes_asyncio.config.kube_config import KubeConfigLoader

        paths = [Path(one).expanduser() for one in self.paths.split(os.pathsep) if one]
        documents = [(path, _document(path)) for path in paths if path.exists()]
        chosen = client_config(documents, self._context)
        if chosen.user.get("as"):
            raise ConfigError("impersonation ('as' of the user) is not supported")
        plugin = chosen.user.get("exec")
        user = {name: value for name, value in chosen.user.items() if name != "exec"}
        # Without a persister: that would crash on OIDC, and vk writes no configuration.
        document = attrs.evolve(chosen, user=user).document()
        self._loader = KubeConfigLoader(document, config_base_path="")
        self._plugin = ExecPlugin(plugin, chosen.cluster) if plugin else None
        server = str(chosen.cluster.get("server") or "")
        self._proxy = chosen.cluster.get("proxy-url") or environment_proxy(server, os.environ)
        if self._proxy is not None and not self._proxy.startswith(("http://", "https://")):
            raise ConfigError(f"proxy-url: expected http or https, found {self._proxy!r}")
        # From now on another current-context in the file is not followed.
        self._context = chosen.context


def _document(path: Path) -> object:
    try:
        return yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"kubeconfig {path}: expected YAML, found none{where}") from None


def _is_file(path: str) -> bool:
    return os.path.isfile(os.path.expanduser(path))


async def _load(loader: Any, found: Any) -> None:
    try:
        await loader.load_and_set(found)
    except KeyError:  # OIDC: the new id-token is kept, then a missing refresh_token raises this
        await loader.load_and_set(found)


def _user(loader: Any) -> Any:
    """Return the user's part of the kubeconfig; the library has no public way to it."""
    return getattr(loader, "_user", None)


def _credentials(found: Any) -> Credentials:
    authorization = (found.api_key.get("BearerToken") or "").strip() or None
    if authorization is not None and not authorization.isprintable():
        raise ConfigError("the token holds control characters")
    return Credentials(
        server=found.host.rstrip("/"),
        proxy=found.proxy,
        authorization=authorization,
        ca_file=found.ssl_ca_cert,
        cert_file=found.cert_file,
        key_file=found.key_file,
        verify=found.verify_ssl,
        server_name=found.tls_server_name,
    )


def _line(error: BaseException) -> str:
    """Return one line about ``error``. The library names places by the whole user entry: cut it."""
    text = " ".join(str(error).split())
    text = re.sub(r"(Expected (?:key \S+|\S+)) (?:in|to be) .*", r"\1", text)
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
