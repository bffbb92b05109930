"""The certificate authority of clients: whose word we take for who somebody is.

In: the file that the settings name, else ``client-ca-file`` of the ConfigMap where API servers
publish theirs; the latter is followed by a reflector, whose callback is `Authority.observe`. Out:
the bundle, and a call of ``on_change`` whenever it becomes another one.

Surprising: that ConfigMap also has ``requestheader-client-ca-file``. Who holds a certificate of
that one may claim to be anybody, to extension API servers; it is never looked at here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from vk.models.pod import Json

__all__ = ["CONFIG_MAP", "NAMESPACE", "Authority"]

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
CONFIG_MAP = "extension-apiserver-authentication"
_KEY = "client-ca-file"
_LARGEST = 1 << 20


@attrs.define(eq=False)
class Authority:
    """The current bundle. ``file`` None: the ConfigMap's."""

    file: Path | None = None
    on_change: Callable[[], None] = lambda: None
    bundle: bytes = attrs.field(default=b"", init=False)
    """PEM; empty: no client certificate is believed."""
    generation: int = attrs.field(default=0, init=False)
    """Counts the changes."""
    _certificates: list[x509.Certificate] = attrs.field(factory=list, init=False, repr=False)
    _refused: bytes = attrs.field(default=b"", init=False, repr=False)

    def read(self) -> None:
        """Look whether the file says something new; what cannot be used changes nothing."""
        if self.file is None:
            return
        try:
            self._take(self.file.read_bytes(), str(self.file))
        except OSError as error:
            if self._refused != b"unreadable":
                self._refused = b"unreadable"
                extra = {"path": str(self.file), "error": error.strerror}
                log.error("client certificate authority cannot be read", extra=extra)

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Take in the ConfigMap; None: it is gone, and so is the trust."""
        if self.file is not None or (new or old or {})["metadata"]["name"] != CONFIG_MAP:
            return
        text = ((new or {}).get("data") or {}).get(_KEY) or ""
        self._take(text.encode(), f"ConfigMap {NAMESPACE}/{CONFIG_MAP}")

    def vouches(self, certificate: x509.Certificate) -> bool:
        """Say whether one of the bundle has signed ``certificate`` itself."""
        return any(_issued(certificate, issuer) for issuer in self._certificates)

    def _take(self, bundle: bytes, source: str) -> None:
        if bundle == self.bundle:
            self._refused = b""
            return
        try:
            if len(bundle) > _LARGEST:
                raise ValueError("larger than 1 MiB")
            certificates = x509.load_pem_x509_certificates(bundle) if bundle.strip() else []
        except ValueError as error:
            if bundle != self._refused:
                self._refused = bundle
                extra = {"source": source, "error": str(error)}
                log.error("client certificate authority cannot be used", extra=extra)
            return
        self.bundle = bundle if certificates else b""
        self._certificates, self._refused = certificates, b""
        self.generation += 1
        extra = {"source": source, "certificates": str(len(certificates))}
        log.info("client certificate authority loaded", extra=extra)
        self.on_change()


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True
