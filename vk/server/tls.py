"""TLS contexts and key pairs of the server: what is negotiated, and what is served.

In: PEM texts. Out: an `ssl.SSLContext` for the next connections, and self-signed pairs. Contexts
are made new and never changed, so a certificate authority that is taken away is gone at once.

Surprising: Python takes keys from files only, so each pair lies in a file of this user's for the
moment of loading; sessions cannot be resumed, since that would skip the client's certificate.
"""

from __future__ import annotations

import ipaddress
import ssl
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["KeyPair", "alternative_names", "make_context", "new_key", "self_signed"]

_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; those of 1.3 are all of this kind
_SELF_SIGNED = timedelta(days=365)


@attrs.frozen
class KeyPair:
    """A certificate, with what stands between it and its authority, and its key; both PEM."""

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


def make_context(pair: KeyPair, authority: bytes) -> ssl.SSLContext:
    """Return a context that serves ``pair``; clients may show certificates of ``authority``.

    Without an authority no certificate is asked for. Raises ValueError for what cannot be used.
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
        if authority:
            # Names between the certificates may be in any script, and do not matter.
            context.load_verify_locations(cadata=authority.decode("ascii", "ignore"))
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


def self_signed(name: str, hosts: Iterable[str]) -> KeyPair:
    """Return a pair for ``hosts`` (names and addresses) that nobody vouches for."""
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
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem)


def alternative_names(hosts: Iterable[str]) -> x509.SubjectAlternativeName:
    """Return the extension that names ``hosts``."""
    return x509.SubjectAlternativeName([_general(host) for host in hosts])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
