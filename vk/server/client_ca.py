"""The client CA bundle: the certificate authorities whose client certificates are accepted.

In: the file that the settings name, else ``client-ca-file`` of the ConfigMap where API servers
publish theirs; the latter is followed by a reflector, whose callback is `ClientCA.observe`. Out:
the bundle, and a call of ``on_change`` whenever it changes.

That ConfigMap also has ``requestheader-client-ca-file``. A holder of a certificate of that one may
impersonate any user, at extension API servers; it is never read here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from vk.models.pod import Json

__all__ = ["CONFIG_MAP", "NAMESPACE", "ClientCA"]

log = logging.getLogger(__name__)

NAMESPACE = "kube-system"
CONFIG_MAP = "extension-apiserver-authentication"
_KEY = "client-ca-file"
_LARGEST = 1 << 20


@attrs.define(eq=False)
class ClientCA:
    """The current bundle. ``file`` None: the ConfigMap's."""

    file: Path | None = None
    on_change: Callable[[], None] = lambda: None
    bundle: bytes = attrs.field(default=b"", init=False)
    """PEM; empty: no client certificate is accepted."""
    generation: int = attrs.field(default=0, init=False)
    """Counts the changes."""
    _certificates: list[x509.Certificate] = attrs.field(factory=list, init=False, repr=False)
    _rejected: bytes = attrs.field(default=b"", init=False, repr=False)

    def read(self) -> None:
        """Read the file again; an invalid one changes nothing."""
        if self.file is None:
            return
        try:
            self._load(self.file.read_bytes(), str(self.file))
        except OSError as error:
            if self._rejected != b"unreadable":
                self._rejected = b"unreadable"
                extra = {"path": str(self.file), "error": error.strerror}
                log.error("client CA bundle cannot be read", extra=extra)

    def observe(self, old: Json | None, new: Json | None) -> None:
        """Read the ConfigMap; None: it was deleted, and no certificate is accepted any more."""
        if self.file is not None or (new or old or {})["metadata"]["name"] != CONFIG_MAP:
            return
        text = ((new or {}).get("data") or {}).get(_KEY) or ""
        self._load(text.encode(), f"ConfigMap {NAMESPACE}/{CONFIG_MAP}")

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Return whether one of the bundle has signed ``certificate`` directly."""
        return any(_issued(certificate, issuer) for issuer in self._certificates)

    def _load(self, bundle: bytes, source: str) -> None:
        if bundle == self.bundle:
            self._rejected = b""
            return
        try:
            if len(bundle) > _LARGEST:
                raise ValueError("larger than 1 MiB")
            certificates = x509.load_pem_x509_certificates(bundle) if bundle.strip() else []
        except ValueError as error:
            if bundle != self._rejected:
                self._rejected = bundle
                extra = {"source": source, "error": str(error)}
                log.error("client CA bundle cannot be used", extra=extra)
            return
        self.bundle = bundle if certificates else b""
        self._certificates, self._rejected = certificates, b""
        self.generation += 1
        extra = {"source": source, "certificates": str(len(certificates))}
        log.info("client CA bundle loaded", extra=extra)
        self.on_change()


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True
