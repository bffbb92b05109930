"""A certificate authority of its own: key pairs and kubeconfigs as files of a folder.

`Authority(folder)` makes a new authority; `server` and `client` write key pairs that it signed.
The embedded cluster and `vk.testing.control_plane` use it; so may any test that needs TLS. Needs
trustme, which the ``dev`` and ``test`` extras bring. Only their owner can read the files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vk.devcluster.private_files import write_private

__all__ = ["Authority", "KeyPair"]

_VALID = timedelta(days=365)


@attrs.frozen
class KeyPair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@attrs.define
class Authority:
    """Signs certificates for the servers and clients of one cluster."""

    folder: Path
    """The folder of all files; must exist."""
    pair: KeyPair = attrs.field(init=False)
    """The authority's own certificate and key, for programs that sign with it."""
    _root: trustme.CA = attrs.field(factory=trustme.CA, init=False)

    def __attrs_post_init__(self) -> None:
        """Write the authority's own files."""
        root = self._root
        self.pair = self._write("ca", root.cert_pem.bytes(), root.private_key_pem.bytes())

    def server(self, name: str, *hosts: str) -> KeyPair:
        """Return a key pair named ``name`` that is valid for ``hosts`` (names, IP addresses)."""
        leaf = self._root.issue_cert(*hosts, common_name=name)
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return self._write(name, chain, leaf.private_key_pem.bytes())

    def client(self, name: str, *, user: str, groups: Sequence[str] = ()) -> KeyPair:
        """Return a key pair that Kubernetes reads as ``user`` in ``groups``."""
        # trustme knows one group at most, and writes an empty critical list of names: Go refuses it
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, user)])
        certificate = self._sign(subject, key.public_key())
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return self._write(name, certificate.public_bytes(serialization.Encoding.PEM), private)

    def kubeconfig(self, path: Path, *, server: str, user: Mapping[str, str]) -> Path:
        """Write a kubeconfig for ``server`` with the credentials ``user``; return its path."""
        cluster = {"server": server, "certificate-authority": str(self.pair.certificate)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "vk", "cluster": cluster}],
            "users": [{"name": "vk", "user": dict(user)}],
            "contexts": [{"name": "vk", "context": {"cluster": "vk", "user": "vk"}}],
            "current-context": "vk",
        }
        write_private(path, json.dumps(content).encode())  # JSON is YAML
        return path

    def _sign(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
        root = x509.load_pem_x509_certificate(self._root.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self._root.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)  # trustme's default kind of key
        now = datetime.now(UTC)
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + _VALID)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=False)
            .add_extension(identifier, critical=False)
            .sign(signer, hashes.SHA256())
        )

    def _write(self, name: str, certificate: bytes, key: bytes) -> KeyPair:
        pair = KeyPair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        write_private(pair.certificate, certificate)
        write_private(pair.key, key)
        return pair
