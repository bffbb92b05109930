"""The serving certificate: key pairs, and the TLS context for the next connection.

In: files that the settings name, or hosts to make a self-signed pair for, or a pair that
`vk.server.certificate_signing` obtained; and the client CA bundle. Out:
`ServingCertificate.context`. Run by `vk.server.server` beside the listener.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vk.errors import ConfigError
from vk.server.client_ca import ClientCA

__all__ = [
    "ServingCertificate",
    "ServingKeyPair",
    "alternative_names",
    "make_context",
    "new_key",
    "self_signed",
]

log = logging.getLogger(__name__)

_CHECK_INTERVAL = 5.0
_RENEW_BEFORE = 30 * 24 * 3600.0
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all of this kind
_SELF_SIGNED = timedelta(days=365)


@attrs.define(eq=False, kw_only=True)
class ServingCertificate:
    """The served certificate. ``files`` are certificate and key; None: self-signed until `serve`.

    Made before the loop runs or in it. Raises ConfigError for invalid files: a node must not start
    with another certificate than the configured one.

    Files are compared by content, not by their times. Certificate and key are two files and change
    one after the other: until they match again the previous pair stays in use.
    """

    client_ca: ClientCA
    node_name: str
    hosts: Callable[[], tuple[str, ...]]
    """Current names and addresses of the node."""
    files: tuple[Path, Path] | None = None
    context: ssl.SSLContext = attrs.field(init=False, repr=False)
    """For the next connection."""
    not_after: datetime = attrs.field(init=False)
    """When the served certificate expires."""
    source: str = attrs.field(init=False)
    """``files``, ``self-signed`` or ``signed``."""
    _pair: ServingKeyPair = attrs.field(init=False, repr=False)
    _hosts: tuple[str, ...] = attrs.field(default=(), init=False)
    _rejected: tuple[object, ...] = attrs.field(default=(), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self.client_ca.on_change = self._renew_context
        self.client_ca.read()
        if self.files is None:
            self._make()
            return
        try:
            self._use(_read(*self.files), "files")
        except (OSError, ValueError) as error:
            names = " and ".join(str(path) for path in self.files)
            raise ConfigError(f"{names}: expected a certificate and its key: {error}") from error

    async def run(self) -> None:
        """Check the files every 5 s, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_INTERVAL)
            self.check()

    def check(self) -> None:
        """Load changed files or addresses; invalid ones change nothing."""
        self.client_ca.read()
        if self.files is not None:
            self._read_files(self.files)
        elif self.source == "self-signed" and self._stale():
            self._make()
        elif self.source == "signed" and self.seconds_left() <= 0:
            self._make()  # no other one was signed in time

    def serve(self, pair: ServingKeyPair) -> None:
        """Serve a signed pair. Raises ValueError for an invalid one."""
        self._use(pair, "signed")

    def seconds_left(self) -> float:
        """Return how long the certificate is still valid."""
        return (self.not_after - datetime.now(UTC)).total_seconds()

    def _make(self) -> None:
        self._hosts = self.hosts()
        self._use(self_signed(self.node_name, self._hosts), "self-signed")

    def _stale(self) -> bool:
        return self._hosts != self.hosts() or self.seconds_left() < _RENEW_BEFORE

    def _read_files(self, files: tuple[Path, Path]) -> None:
        read: tuple[object, ...] = ()
        try:
            pair = _read(*files)
            read = (pair.certificate, pair.key)
            if pair != self._pair and read != self._rejected:
                self._use(pair, "files")
        except (OSError, ValueError) as error:
            if (read or (str(error),)) != self._rejected:
                extra = {"path": str(files[0]), "error": str(error)}
                log.warning(
                    "changed certificate cannot be used; keeping the previous certificate",
                    extra=extra,
                )
            self._rejected = read or (str(error),)

    def _use(self, pair: ServingKeyPair, source: str) -> None:
        leaf = pair.check()
        self.context = make_context(pair, self.client_ca.bundle)
        self._pair, self.source, self.not_after = pair, source, leaf.not_valid_after_utc
        extra = {"source": source, "expires": f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}"}
        log.info("serving certificate loaded", extra=extra)

    def _renew_context(self) -> None:
        if not hasattr(self, "_pair"):
            return  # the client CA was read before the first pair
        try:
            self.context = make_context(self._pair, self.client_ca.bundle)
        except ValueError as error:
            # Certificates of the previous client CA must not stay accepted.
            self.context = make_context(self._pair, b"")
            log.error("client certificates cannot be verified", extra={"error": str(error)})


def _read(certificate: Path, key: Path) -> ServingKeyPair:
    return ServingKeyPair(certificate.read_bytes(), key.read_bytes())


@attrs.frozen
class ServingKeyPair:
    """A certificate with its intermediate certificates, and its key; both PEM."""

    certificate: bytes
    key: bytes = attrs.field(repr=False)

    def leaf(self) -> x509.Certificate:
        """Return the certificate itself. Raises ValueError."""
        return x509.load_pem_x509_certificate(self.certificate)

    def check(self) -> x509.Certificate:
        """Return the certificate if the key is its own. Raises ValueError."""
        leaf = self.leaf()
        key = serialization.load_pem_private_key(self.key, None)
        if key.public_key() != leaf.public_key():
            raise ValueError("certificate and key are not a pair")
        return leaf


def make_context(pair: ServingKeyPair, client_ca: bytes) -> ssl.SSLContext:
    """Return a context that serves ``pair``; clients may present certificates of ``client_ca``.

    Without a client CA no certificate is requested. Raises ValueError for invalid certificates.

    Contexts are never changed, so a client CA that is removed is gone at once. Python loads keys
    from files only, so each pair lies in a file of this user for the moment of loading; sessions
    cannot be resumed, since that would skip the client's certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    try:
        with tempfile.NamedTemporaryFile() as file:  # mode 0600
            file.write(pair.key + b"\n" + pair.certificate)
            file.flush()
            context.load_cert_chain(file.name)
        if client_ca:
            # Comments between the certificates may be in any script, and do not matter.
            context.load_verify_locations(cadata=client_ca.decode("ascii", "ignore"))
            context.verify_mode = ssl.CERT_OPTIONAL  # a bearer token does as well
            # As in Go, any certificate of the bundle is a root.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    except OSError as error:
        raise ValueError(f"certificates cannot be used: {error}") from error
    return context


def new_key() -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """Return a new key, as object and as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return key, pem


def self_signed(name: str, hosts: Iterable[str]) -> ServingKeyPair:
    """Return a pair for ``hosts`` (names and addresses) that no CA has signed."""
    key, pem = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    moment = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(hours=1))
        .not_valid_after(moment + _SELF_SIGNED)
        .add_extension(alternative_names(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return ServingKeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem)


def alternative_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    """Return the extension that names ``hosts``."""
    return x509.SubjectAlternativeName([_general(host) for host in hosts])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
