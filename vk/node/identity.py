"""Who this replica is, and that only one process at a time says so.

The lease names the replica, not the process: a process restarted in the same place goes on at
once, while any other replica has to wait. `StateFolder.lock` hands out that name under a file lock
which the kernel drops when the process ends, however it ends.

The name is the pod's UID where there is one (``POD_UID``), else a hash of machine id, host name and
a random token kept in the folder: containers on one host may share the first two.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from vk.errors import ConfigError
from vk.notation.label_names import is_dns_subdomain

__all__ = ["StateFolder", "default_folder", "replica_identity"]

_LONGEST_NAME = 250  # a file's name has 255 bytes, a node's up to 253
_MACHINE_ID = Path("/etc/machine-id")


def default_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return ``$XDG_STATE_HOME/virtual-kubelet``, else this user's folder in the tmp one."""
    home = environ.get("XDG_STATE_HOME", "")
    if Path(home).is_absolute():
        return Path(home) / "virtual-kubelet"
    return Path(tempfile.gettempdir()) / f"virtual-kubelet-{os.getuid()}"


def replica_identity(token: str, environ: Mapping[str, str] = os.environ) -> str:
    """Return the name of this replica: equal after a restart in the same place."""
    pod_uid = environ.get("POD_UID", "")
    if pod_uid:
        return pod_uid
    try:
        machine = _MACHINE_ID.read_text().strip()
    except OSError:
        machine = ""
    host = socket.gethostname()
    digest = hashlib.sha256("\0".join((machine, host, token)).encode()).hexdigest()
    return f"{host}-{digest[:16]}"


def _folder(path: Path | None) -> Path:
    return default_folder() if path is None else path


@attrs.frozen
class StateFolder:
    """A folder of this user's own; None: the default one. Made when it is first needed."""

    path: Path = attrs.field(default=None, converter=_folder)

    @contextmanager
    def lock(self, node_name: str) -> Iterator[str]:
        """Yield the identity to hold ``node_name``'s lease with, for as long as the block lasts.

        A second process on the same folder and node gets a name of its own, and so is a plain
        standby. Raises ConfigError where the folder cannot be used.
        """
        if not is_dns_subdomain(node_name):
            raise ConfigError(
                f"node name {node_name!r}: expected a DNS subdomain: at most 253 lower-case "
                "letters, digits, '-' and '.', with a letter or digit at both ends of each part"
            )
        try:
            self._prepare()
            identity = replica_identity(self._token())
            file = (self.path / f"{node_name[:_LONGEST_NAME]}.lock").open("a")
        except OSError as error:
            raise ConfigError(f"state folder {self.path}: {error.strerror or error}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                identity = f"{identity}-{os.getpid()}-{secrets.token_hex(4)}"
            yield identity

    def _prepare(self) -> None:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.stat().st_uid != os.getuid():
            raise ConfigError(f"state folder {self.path} belongs to another user")

    def _token(self) -> str:
        """The folder's random token; the first process that links it has made it."""
        path = self.path / "replica"
        if not path.exists():
            draft = self.path / f"replica.{os.getpid()}.{secrets.token_hex(4)}"
            draft.write_text(secrets.token_hex(16))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()
