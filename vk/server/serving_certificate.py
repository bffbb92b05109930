"""The certificate that this server shows, and the TLS context for the next connection.

In: files that the settings name, or hosts to make a self-signed pair for, or what
`vk.server.certificate_signing` got signed; and the authority of clients.
Out: `Certificates.context`. Started by `vk.server.server`, which runs `run` beside the listener.

Surprising: files are compared by what is in them, not by their times. Certificate and key are two
files and change one after the other: until they fit again the former pair stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from vk.errors import ConfigError
from vk.server.client_ca import Authority
from vk.server.tls import KeyPair, make_context, self_signed

__all__ = ["Certificates"]

log = logging.getLogger(__name__)

_LOOK_EVERY = 5.0
_SOON = 30 * 24 * 3600.0


@attrs.define(eq=False, kw_only=True)
class Certificates:
    """What is served now. ``files`` are certificate and key; None: self-signed until `serve`.

    Made before the loop runs or in it. Raises ConfigError where the files cannot be used: a node
    must not start with another certificate than the one that was asked for.
    """

    authority: Authority
    node_name: str
    hosts: Callable[[], tuple[str, ...]]
    """Names and addresses of the node as known now."""
    files: tuple[Path, Path] | None = None
    context: ssl.SSLContext = attrs.field(init=False, repr=False)
    """For the next connection."""
    not_after: datetime = attrs.field(init=False)
    """When what is served runs out."""
    source: str = attrs.field(init=False)
    """``files``, ``self-signed`` or ``signed``."""
    _pair: KeyPair = attrs.field(init=False, repr=False)
    _hosts: tuple[str, ...] = attrs.field(default=(), init=False)
    _refused: tuple[object, ...] = attrs.field(default=(), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.authority.on_change = self._renew_context
        self.authority.read()
        if self.files is None:
            self._make()
            return
        try:
            self._use(_read(*self.files), "files")
        except (OSError, ValueError) as error:
            names = " and ".join(str(path) for path in self.files)
            raise ConfigError(f"{names}: expected a certificate and its key: {error}") from error

    async def run(self) -> None:
        """Look at the files every 5 s, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self.look()

    def look(self) -> None:
        """Look whether files or addresses have changed; what cannot be used changes nothing."""
        self.authority.read()
        if self.files is not None:
            self._read_files(self.files)
        elif self.source == "self-signed" and self._stale():
            self._make()
        elif self.source == "signed" and self.seconds_left() <= 0:
            self._make()  # nobody has signed another one in time

    def serve(self, pair: KeyPair) -> None:
        """Serve a pair that was signed. Raises ValueError where it is none."""
        self._use(pair, "signed")

    def seconds_left(self) -> float:
        """Return how long the certificate is still valid."""
        return (self.not_after - datetime.now(UTC)).total_seconds()

    def _make(self) -> None:
        self._hosts = self.hosts()
        self._use(self_signed(self.node_name, self._hosts), "self-signed")

    def _stale(self) -> bool:
        return self._hosts != self.hosts() or self.seconds_left() < _SOON

    def _read_files(self, files: tuple[Path, Path]) -> None:
        read: tuple[object, ...] = ()
        try:
            pair = _read(*files)
            read = (pair.certificate, pair.key)
            if pair != self._pair and read != self._refused:
                self._use(pair, "files")
        except (OSError, ValueError) as error:
            if (read or (str(error),)) != self._refused:
                extra = {"path": str(files[0]), "error": str(error)}
                log.warning("changed certificate cannot be used, the former one is", extra=extra)
            self._refused = read or (str(error),)

    def _use(self, pair: KeyPair, source: str) -> None:
        leaf = pair.check()
        self.context = make_context(pair, self.authority.bundle)
        self._pair, self.source, self.not_after = pair, source, leaf.not_valid_after_utc
        extra = {"source": source, "expires": f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"}
        log.info("serving certificate loaded", extra=extra)

    def _renew_context(self) -> None:
        if not hasattr(self, "_pair"):
            return  # the authority was read before the first pair
        try:
            self.context = make_context(self._pair, self.authority.bundle)
        except ValueError as error:
            # Nobody may go on being believed because what replaces his authority is unusable.
            self.context = make_context(self._pair, b"")
            log.error("client certificates cannot be verified", extra={"error": str(error)})


def _read(certificate: Path, key: Path) -> KeyPair:
    return KeyPair(certificate.read_bytes(), key.read_bytes())
