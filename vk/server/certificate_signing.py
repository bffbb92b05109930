"""Signing of the serving certificate: a CertificateSigningRequest, followed until its end.

In: the signer, and the names and addresses of the node. Out: key pairs for
`ServingCertificate.serve`. RBAC: create and get of certificatesigningrequests. Runs while this
process acts for the node. Nothing waits for it: until approval the self-signed certificate is
served.

Serving certificates are not approved by default, so an administrator may have to, and must not have
to again after each restart: key, request and certificate are kept in the state folder.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import logging
import random
import warnings
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vk.aio.backoff import Backoff
from vk.cluster.client import Client
from vk.cluster.resources import Resource
from vk.errors import ClusterError, ConflictError, ForbiddenError, ObjectNotFoundError
from vk.server.serving_certificate import (
    ServingCertificate,
    ServingKeyPair,
    alternative_names,
    new_key,
)

__all__ = ["CertificateSigning"]

log = logging.getLogger(__name__)

_REQUESTS = Resource(
    "certificates.k8s.io",
    "v1",
    "certificatesigningrequests",
    "CertificateSigningRequest",
    namespaced=False,
)
_CHECK_INTERVAL = 60.0
_REFUSED_PAUSE = 900.0
_FIRST_POLL, _LAST_POLL = 1.0, 15.0
_RENEW = (0.7, 0.9)  # of its life


class _RefusedError(Exception):
    """The request will not be signed."""


@attrs.define(eq=False, kw_only=True)
class CertificateSigning:
    """Keeps the serving certificate signed. ``run`` until cancelled."""

    client: Client
    serving_certificate: ServingCertificate
    signer: str
    node_name: str
    hosts: Callable[[], tuple[str, ...]]
    folder: Path
    """Exists, and is this user's own."""
    _covered: frozenset[str] = attrs.field(default=frozenset(), init=False)
    """The hosts that the certificate was requested for."""
    _announced: str = attrs.field(default="", init=False)
    """The last request that was logged as waiting for approval."""
    _renew_at: datetime | None = attrs.field(default=None, init=False)
    """When to request another one; None: there is none."""

    async def run(self) -> None:
        """Request a certificate when there is none, when it is old, or when an address changed."""
        self._load()
        while True:
            hosts = self.hosts()
            if self._is_good(hosts):
                await asyncio.sleep(_CHECK_INTERVAL)
                continue
            try:
                pair = await self._obtain(hosts)
            except ForbiddenError as error:
                text = "serving certificate stays self-signed: requests for one are not allowed"
                log.warning(text, extra={"error": str(error)})
                await asyncio.sleep(_REFUSED_PAUSE)
            except _RefusedError as error:
                text = "serving certificate stays as it is: the request was refused"
                log.error(text, extra={"error": str(error)})
                await asyncio.sleep(_REFUSED_PAUSE)
            else:
                if pair is not None:
                    self._take(pair, hosts)

    def _is_good(self, hosts: tuple[str, ...]) -> bool:
        young = self._renew_at is not None and datetime.now(UTC) < self._renew_at
        return young and self._covered >= set(hosts)

    def _take(self, pair: ServingKeyPair, covered: Iterable[str]) -> None:
        leaf = pair.check()
        self.serving_certificate.serve(pair)
        life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
        self._renew_at = leaf.not_valid_before_utc + life * random.uniform(*_RENEW)
        self._covered = frozenset(covered)
        _write(self._file("crt"), pair.key + pair.certificate)
        self._file("key").unlink(missing_ok=True)

    def _load(self) -> None:
        """Serve the certificate of an earlier process, if it is still valid."""
        try:
            text = self._file("crt").read_bytes()
            cut = text.index(b"-----BEGIN CERTIFICATE")
            pair = ServingKeyPair(text[cut:], text[:cut])
            leaf = pair.check()
            if leaf.not_valid_after_utc > datetime.now(UTC):
                self._take(pair, _names(leaf))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("kept serving certificate cannot be used", extra={"error": str(error)})

    async def _obtain(self, hosts: tuple[str, ...]) -> ServingKeyPair | None:
        """Return a signed pair; None to start over.

        Raises ForbiddenError and _RefusedError; waits for an unreachable API server.
        """
        key, pem = self._key()
        request = _request(key, self.node_name, hosts)
        name = _name(self.node_name, key, hosts)
        backoff, requested = Backoff(first=_FIRST_POLL, cap=_LAST_POLL), False
        while self.hosts() == hosts:
            try:
                if not requested:
                    await self._create(name, request)
                    requested = True
                answer = await self.client.get(_REQUESTS, name)
            except ForbiddenError:
                raise
            except ObjectNotFoundError:
                self._file("key").unlink(missing_ok=True)  # it was deleted: request again
                return None
            except ClusterError as error:
                log.info("cannot request a certificate now", extra={"error": str(error)})
            else:
                certificate = _outcome(answer)
                if certificate:
                    return ServingKeyPair(certificate, pem)
            await asyncio.sleep(backoff.next())
        return None

    async def _create(self, name: str, request: bytes) -> None:
        body = {
            "apiVersion": _REQUESTS.api_version,
            "kind": _REQUESTS.kind,
            "metadata": {"name": name},
            "spec": {
                "request": base64.b64encode(request).decode(),
                "signerName": self.signer,
                "usages": ["digital signature", "server auth"],
            },
        }
        try:
            await self.client.create(_REQUESTS, body)
        except ConflictError:
            log.debug("certificate is requested already", extra={"request": name})
        if name == self._announced:
            return
        self._announced = name
        text = (
            "serving certificate waits for approval; until then it is self-signed, and API servers "
            "that verify kubelets get no logs, exec or metrics from this node"
        )
        log.warning(text, extra={"command": f"kubectl certificate approve {name}"})

    def _key(self) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
        """Return the key of a request that an earlier process made, else a new one."""
        file = self._file("key")
        try:
            pem = file.read_bytes()
            key = serialization.load_pem_private_key(pem, None)
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key, pem
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            log.warning("kept key cannot be used", extra={"error": str(error)})
        key, pem = new_key()
        _write(file, pem)
        return key, pem

    def _file(self, ending: str) -> Path:
        return self.folder / f"{self.node_name}-serving.{ending}"


def _write(path: Path, content: bytes) -> None:
    """Replace the file, mode 0600; a failure is logged."""
    draft = path.with_name(path.name + ".new")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        log.warning("serving certificate not kept", extra={"path": str(path), "error": str(error)})


def _name(node: str, key: ec.EllipticCurvePrivateKey, hosts: tuple[str, ...]) -> str:
    """Return a name that is the same for the same request."""
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    digest = hashlib.sha256(public + "\0".join(hosts).encode()).hexdigest()
    return f"{node[:200].rstrip('.-')}-serving-{digest[:12]}"


def _request(key: ec.EllipticCurvePrivateKey, node: str, hosts: tuple[str, ...]) -> bytes:
    with warnings.catch_warnings():
        # A node's name may be longer than the 64 characters of the standard, which Go ignores.
        warnings.simplefilter("ignore", UserWarning)
        name = x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node}", _validate=False)
    group = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([group, name]))
    builder = builder.add_extension(alternative_names(hosts), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _names(certificate: x509.Certificate) -> set[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return set()
    names = extension.value
    addresses = names.get_values_for_type(x509.IPAddress)
    return {*names.get_values_for_type(x509.DNSName), *map(str, addresses)}


def _outcome(answer: dict[str, Any]) -> bytes:
    """Return the certificate, empty while there is none. Raises _RefusedError."""
    status = answer.get("status") or {}
    for condition in status.get("conditions") or ():
        if condition.get("type") in ("Denied", "Failed"):
            reason = condition.get("message") or condition.get("reason") or ""
            raise _RefusedError(f"{condition['type']}: {reason}"[:300])
    try:
        return base64.b64decode(status.get("certificate") or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _RefusedError("the answer holds no certificate") from error
