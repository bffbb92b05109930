"""A certificate authority for one test run: key pairs and kubeconfigs as files of a folder.

`Authority(folder)` makes a new authority; `server` and `client` write key pairs that it signed.
`vk.testing.control_plane` uses it; so may any test that needs TLS. Needs trustme, which the
``test`` extra brings. The keys are readable by their owner only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import attrs
import trustme

__all__ = ["Authority", "KeyPair"]


@attrs.frozen
class KeyPair:
    """A certificate and its private key, both PEM files."""

    certificate: Path
    key: Path


@attrs.define
class Authority:
    """Signs certificates for servers and clients of one test run."""

    folder: Path
    """Where all files go; must exist."""
    pair: KeyPair = attrs.field(init=False)
    """The authority's own certificate and key, for programs that sign with it."""
    _root: trustme.CA = attrs.field(factory=trustme.CA, init=False)

    def __attrs_post_init__(self) -> None:
        """Write the authority's own files."""
        root = self._root
        self.pair = self._write("ca", root.cert_pem.bytes(), root.private_key_pem.bytes())

    def server(self, name: str, *hosts: str) -> KeyPair:
        """Return a key pair named ``name`` that is valid for ``hosts`` (names, IP addresses)."""
        return self._leaf(name, self._root.issue_cert(*hosts, common_name=name))

    def client(self, name: str, *, user: str, group: str) -> KeyPair:
        """Return a key pair that Kubernetes reads as ``user`` in ``group``."""
        # Without any host trustme writes an empty list of names, marked critical: Go refuses that.
        leaf = self._root.issue_cert("client.test", common_name=user, organization_name=group)
        return self._leaf(name, leaf)

    def kubeconfig(self, path: Path, *, server: str, user: Mapping[str, str]) -> Path:
        """Write a kubeconfig for ``server`` with the credentials ``user``; return its path."""
        cluster = {"server": server, "certificate-authority": str(self.pair.certificate)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": dict(user)}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "current-context": "test",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(content))  # JSON is YAML
        return path

    def _leaf(self, name: str, leaf: trustme.LeafCert) -> KeyPair:
        chain = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
        return self._write(name, chain, leaf.private_key_pem.bytes())

    def _write(self, name: str, certificate: bytes, key: bytes) -> KeyPair:
        pair = KeyPair(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        pair.certificate.write_bytes(certificate)
        pair.key.touch(mode=0o600)
        pair.key.write_bytes(key)
        return pair
