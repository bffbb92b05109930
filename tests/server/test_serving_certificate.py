"""The serving certificate: files that change, a self-signed pair, one that a signer signs."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from server_world import World, client_context, said, serving

from vk.cluster.client import Client
from vk.cluster.kubeconfig import read_access
from vk.devcluster.cluster import DevCluster
from vk.errors import ConfigError
from vk.server import certificate_signing as csr
from vk.server.certificate_signing import CertificateSigning
from vk.server.client_ca import ClientCA
from vk.server.serving_certificate import ServingCertificate

HOSTS = ("n1", "127.0.0.1")
AUTHORITY = trustme.CA()


def write(folder: Path, name: str = "127.0.0.1", *, parts: str = "ck") -> tuple[Path, Path]:
    """Write a new pair of the authority, or only one half of it."""
    issued = AUTHORITY.issue_cert(name)
    certificate, key = folder / "serving.crt", folder / "serving.key"
    if "c" in parts:
        certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    if "k" in parts:
        key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


async def served(world: World) -> bytes:
    """Return the certificate that a new connection sees."""
    _, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=client_context())
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


def names(raw: bytes) -> set[str]:
    extension = x509.load_der_x509_certificate(raw).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    values = extension.value
    addresses = values.get_values_for_type(x509.IPAddress)
    return {*values.get_values_for_type(x509.DNSName), *map(str, addresses)}


async def test_without_anything_a_self_signed_certificate_names_the_node(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        assert names(await served(world)) == set(HOSTS)
        assert world.server.serving_certificate.seconds_left() > 300 * 24 * 3600


async def test_files_are_served_and_followed(tmp_path: Path) -> None:
    """A new pair is served to the next connection; half of one changes nothing."""
    certificate, key = write(tmp_path)
    async with serving(tmp_path, serving_certificate=certificate, serving_key=key) as world:
        tls = ssl.create_default_context()
        AUTHORITY.configure_trust(tls)
        _, writer = await asyncio.open_connection("127.0.0.1", world.port, ssl=tls)
        writer.close()
        first, certificates = await served(world), world.server.serving_certificate
        write(tmp_path, parts="c")
        certificates.check()
        assert await served(world) == first
        certificate.write_bytes(b"not a certificate")
        certificates.check()
        assert await served(world) == first
        certificate.unlink()
        certificates.check()
        assert await served(world) == first
        write(tmp_path)
        certificates.check()
        assert await served(world) != first


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_files_are_looked_at_every_few_seconds(tmp_path: Path) -> None:
    certificate, key = write(tmp_path)
    certificates = ServingCertificate(
        client_ca=ClientCA(), node_name="n1", hosts=lambda: HOSTS, files=(certificate, key)
    )
    before = certificates.context
    looking = asyncio.create_task(certificates.run())
    write(tmp_path)
    await asyncio.sleep(6)
    assert certificates.context is not before
    looking.cancel()


@pytest.mark.looptime
@pytest.mark.asyncio
async def test_a_self_signed_certificate_follows_the_addresses() -> None:
    hosts: list[tuple[str, ...]] = [HOSTS]
    certificates = ServingCertificate(client_ca=ClientCA(), node_name="n1", hosts=lambda: hosts[0])
    before = certificates.context
    looking = asyncio.create_task(certificates.run())
    await asyncio.sleep(6)
    assert certificates.context is before
    hosts[0] = (*HOSTS, "192.0.2.1")
    await asyncio.sleep(6)
    assert certificates.context is not before
    looking.cancel()


@pytest.mark.parametrize("broken", ["missing", "torn", "nonsense"])
async def test_a_node_does_not_start_with_files_that_cannot_be_used(
    tmp_path: Path, broken: str
) -> None:
    """It must not serve another certificate than the one that was asked for."""
    certificate, key = write(tmp_path)
    if broken == "missing":
        key.unlink()
    elif broken == "torn":
        write(tmp_path, parts="k")
    else:
        certificate.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with pytest.raises(ConfigError, match=r"serving\.crt"):
        async with serving(tmp_path, serving_certificate=certificate, serving_key=key):
            pass


async def test_a_certificate_without_its_key_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="APISERVER_KEY_LOCATION"):
        async with serving(tmp_path, serving_certificate=write(tmp_path)[0]):
            pass


def test_an_authority_that_cannot_be_read_keeps_the_former_one(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_bytes(AUTHORITY.cert_pem.bytes())
    authority = ClientCA(file)
    authority.read()
    before = authority.bundle
    for content in (b"-----BEGIN CERTIFICATE-----\nx\n", b"x" * (2 << 20)):
        file.write_bytes(content)
        authority.read()
        assert (authority.bundle, authority.generation) == (before, 1)
    file.unlink()
    authority.read()
    assert authority.bundle == before
    file.write_bytes(b"")
    authority.read()
    assert (authority.bundle, authority.generation) == (b"", 2)


@attrs.define(eq=False)
class Signer:
    """Approves and signs what is asked for, as a cluster's controllers would."""

    client: Client
    days: float = 365
    key: ec.EllipticCurvePrivateKey = attrs.field(
        factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    async def request(self) -> dict[str, Any]:
        """Wait until there is an undecided request."""
        listing = await self.client.list(csr._REQUESTS)
        for one in listing.items:
            if not one.get("status"):
                return one
        version = listing.resource_version
        events = self.client.watch(csr._REQUESTS, resource_version=version)
        async with asyncio.timeout(20), aclosing(events):
            async for kind, one in events:
                if kind == "ADDED":
                    return one
        raise AssertionError("nothing was requested")

    async def sign(self, request: dict[str, Any]) -> None:
        await self._decide(request, "Approved")
        name = request["metadata"]["name"]
        request = await self.client.get(csr._REQUESTS, name)
        pem = base64.b64decode(request["spec"]["request"])
        certificate = self._certificate(x509.load_pem_x509_csr(pem))
        request["status"]["certificate"] = base64.b64encode(certificate).decode()
        await self.client.replace(csr._REQUESTS, name, request, subresource="status")

    async def deny(self, request: dict[str, Any]) -> None:
        await self._decide(request, "Denied")

    async def _decide(self, request: dict[str, Any], decision: str) -> None:
        condition = {"type": decision, "status": "True", "reason": "Test", "message": "said so"}
        request["status"] = {"conditions": [condition]}
        name = request["metadata"]["name"]
        await self.client.replace(csr._REQUESTS, name, request, subresource="approval")

    def _certificate(self, request: x509.CertificateSigningRequest) -> bytes:
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "signer")])
        builder = (
            x509.CertificateBuilder()
            .subject_name(request.subject)
            .issuer_name(issuer)
            .public_key(request.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=self.days))
        )
        for extension in request.extensions:
            builder = builder.add_extension(extension.value, critical=extension.critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


@attrs.define(eq=False)
class SigningWorld:
    folder: Path
    client: Client
    hosts: list[tuple[str, ...]] = attrs.field(factory=lambda: [HOSTS])

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ServingCertificate]:
        """Run one process' share: what it serves, and its asking."""
        certificates = ServingCertificate(
            client_ca=ClientCA(), node_name="n1", hosts=lambda: self.hosts[0]
        )
        signing = CertificateSigning(
            client=self.client,
            serving_certificate=certificates,
            signer="kubernetes.io/kubelet-serving",
            node_name="n1",
            hosts=lambda: self.hosts[0],
            folder=self.folder,
        )
        task = asyncio.create_task(signing.run())
        try:
            yield certificates
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csr, "_FIRST_POLL", 0.02)
    monkeypatch.setattr(csr, "_LAST_POLL", 0.05)
    monkeypatch.setattr(csr, "_CHECK_INTERVAL", 0.05)


@pytest.fixture
async def signing(tmp_path: Path) -> AsyncIterator[SigningWorld]:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    async with (
        DevCluster(tmp_path / "cluster") as cluster,
        Client(read_access(cluster.kubeconfig), user_agent="test") as client,
    ):
        yield SigningWorld(folder, client)


async def until(certificates: ServingCertificate, done: Callable[[], bool]) -> None:
    """Wait for the next certificate that makes ``done`` true."""
    async with asyncio.timeout(20):
        while not done():
            with said("serving certificate loaded") as loaded:
                if done():
                    return
                await loaded.wait()


async def test_a_certificate_that_is_signed_replaces_the_self_signed_one(
    signing: SigningWorld,
) -> None:
    """It is asked for as a kubelet does, under the node's name and addresses."""
    signer = Signer(signing.client)
    with said("waits for approval") as told:
        async with signing.running() as certificates:
            request = await signer.request()
            assert told.is_set()
            assert certificates.source == "self-signed"
            spec = request["spec"]
            assert spec["signerName"] == "kubernetes.io/kubelet-serving"
            assert sorted(spec["usages"]) == ["digital signature", "server auth"]
            asked = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
            assert asked.subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
            await signer.sign(request)
            await until(certificates, lambda: certificates.source == "signed")
    kept = signing.folder / "n1-serving.crt"
    assert kept.stat().st_mode & 0o777 == 0o600


async def test_a_restart_goes_on_with_what_was_signed(signing: SigningWorld) -> None:
    """And requests nothing again."""
    signer = Signer(signing.client)
    async with signing.running() as certificates:
        await signer.sign(await signer.request())
        await until(certificates, lambda: certificates.source == "signed")
        before = certificates.not_after
    async with signing.running() as certificates:
        await until(certificates, lambda: certificates.source == "signed")
        assert certificates.not_after == before
    assert len((await signing.client.list(csr._REQUESTS)).items) == 1


async def test_a_restart_goes_on_with_what_was_asked_for(signing: SigningWorld) -> None:
    """The request that waits for a person is still the one that counts."""
    signer = Signer(signing.client)
    async with signing.running():
        request = await signer.request()
    async with signing.running() as certificates:
        await signer.sign(request)
        await until(certificates, lambda: certificates.source == "signed")
    assert len((await signing.client.list(csr._REQUESTS)).items) == 1


async def test_an_address_that_changes_makes_a_new_request(signing: SigningWorld) -> None:
    signer = Signer(signing.client)
    async with signing.running() as certificates:
        await signer.sign(await signer.request())
        await until(certificates, lambda: certificates.source == "signed")
        first = certificates.context
        signing.hosts[0] = ("n1", "192.0.2.7")
        request = await signer.request()
        asked = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        found = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert [str(one) for one in found.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
        assert certificates.context is first
        await signer.sign(request)
        await until(certificates, lambda: certificates.context is not first)


async def test_a_certificate_is_renewed_before_its_end(signing: SigningWorld) -> None:
    """One whose life is over by more than 90 % is asked for again at once."""
    signer = Signer(signing.client, days=1 / 24 / 20)  # an hour of it lies in the past
    async with signing.running() as certificates:
        await signer.sign(await signer.request())
        await until(certificates, lambda: certificates.source == "signed")
        assert (await signer.request())["metadata"]["name"]


async def test_a_refusal_is_said_and_changes_nothing(signing: SigningWorld) -> None:
    signer = Signer(signing.client)
    with said("the request was refused") as told:
        async with signing.running() as certificates:
            await signer.deny(await signer.request())
            await asyncio.wait_for(told.wait(), 20)
            assert certificates.source == "self-signed"


async def test_without_the_right_to_ask_it_stays_self_signed(tmp_path: Path) -> None:
    async with DevCluster(tmp_path / "cluster") as cluster:
        poor = read_access(cluster.kubeconfig_for("poor"))
        async with Client(poor, user_agent="test") as client:
            with said("requests for one are not allowed") as told:
                async with SigningWorld(tmp_path, client).running() as certificates:
                    await asyncio.wait_for(told.wait(), 20)
                    assert certificates.source == "self-signed"


async def test_a_kept_certificate_that_is_broken_is_done_without(signing: SigningWorld) -> None:
    (signing.folder / "n1-serving.crt").write_text("nonsense")
    (signing.folder / "n1-serving.key").write_text("nonsense")
    signer = Signer(signing.client)
    async with signing.running() as certificates:
        await signer.sign(await signer.request())
        await until(certificates, lambda: certificates.source == "signed")


def test_the_name_of_a_request_fits_any_node() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = csr._name("n" * 250 + ".x", key, HOSTS)
    assert len(name) < 254
    assert name != csr._name("n" * 250 + ".x", key, ("n1",))
    assert csr._request(key, "n" * 250, HOSTS).startswith(b"-----BEGIN CERTIFICATE REQUEST")
