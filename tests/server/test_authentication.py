"""Authentication and authorization: of which clients, for how long, and without an API server."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from server_world import client_context, said, serving

from vk.cluster.resources import CONFIG_MAPS
from vk.devcluster.cluster import DevCluster
from vk.server.authentication import user_of

MASTERS = "system:masters"
HOUR = timedelta(hours=1)


class Signer:
    """A certificate authority that signs anything."""

    def __init__(self, name: str = "signer") -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self.name, self.key.public_key(), HOUR)
        builder = builder.add_extension(x509.BasicConstraints(True, None), critical=True)
        self.certificate = builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(
        self,
        *,
        names: Sequence[str] = ("admin",),
        groups: Sequence[str] = (MASTERS,),
        lasts: timedelta = HOUR,
        usage: ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        parts += [x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]
        builder = self._builder(x509.Name(parts), key.public_key(), lasts)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self.key, hashes.SHA256()), key

    def client(self, folder: Path, **more: object) -> ssl.SSLContext:
        certificate, key = self.sign(**more)  # type: ignore[arg-type] # passed on as it is
        path = folder / f"client-{certificate.serial_number}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return client_context(path)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * HOUR)
            .not_valid_after(now + lasts)
        )


def trusting(folder: Path, signer: Signer) -> Path:
    path = folder / "clients.pem"
    path.write_bytes(signer.pem)
    return path


@pytest.mark.parametrize(
    ("names", "groups", "expected"),
    [
        (("admin",), (MASTERS,), ("admin", (MASTERS, "system:authenticated"))),
        (("first", "last"), (), ("last", ("system:authenticated",))),
        (("x",), ("system:authenticated",), ("x", ("system:authenticated",))),
        ((), (MASTERS,), None),
        (("x, O=system:masters",), (), ("x, O=system:masters", ("system:authenticated",))),
        (("bücher\n",), ("a,b",), ("bücher\n", ("a,b", "system:authenticated"))),
    ],
)
def test_whom_a_certificate_names(
    names: Sequence[str], groups: Sequence[str], expected: object
) -> None:
    """As Kubernetes reads it; one without a name is of no user, whatever its groups."""
    certificate, _ = Signer().sign(names=names, groups=groups)
    found = user_of(certificate)
    assert expected == (None if found is None else (found.name, found.groups))


async def test_the_authority_of_a_file_is_the_only_one(tmp_path: Path) -> None:
    """What the cluster publishes does not count beside it."""
    signer = Signer()
    authority = trusting(tmp_path, signer)
    async with serving(tmp_path, client_ca_file=authority) as world:
        assert (await world.call("/pods", tls=signer.client(tmp_path)))[0] == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.call("/pods", tls=world.certificate())


async def test_an_authority_may_have_a_name_written_above_it(tmp_path: Path) -> None:
    signer = Signer()
    authority = trusting(tmp_path, signer)
    authority.write_bytes("# Főtanúsítvány\n".encode() + signer.pem)
    async with serving(tmp_path, client_ca_file=authority) as world:
        assert (await world.call("/pods", tls=signer.client(tmp_path)))[0] == 200


@pytest.mark.parametrize(
    "more",
    [
        {"lasts": -HOUR},
        {"usage": ExtendedKeyUsageOID.SERVER_AUTH},
        {"names": ()},
    ],
    ids=["expired", "a server's", "nameless"],
)
async def test_a_certificate_that_is_no_proof_opens_nothing(
    tmp_path: Path, more: dict[str, object]
) -> None:
    signer = Signer()
    async with serving(tmp_path, client_ca_file=trusting(tmp_path, signer)) as world:
        try:
            status, _ = await world.call("/pods", tls=signer.client(tmp_path, **more))
        except (aiohttp.ClientError, ssl.SSLError):
            return  # the handshake failed
        assert status == 401


async def test_a_certificate_without_a_purpose_is_believed_as_go_does(tmp_path: Path) -> None:
    signer = Signer()
    async with serving(tmp_path, client_ca_file=trusting(tmp_path, signer)) as world:
        tls = signer.client(tmp_path, usage=None)
        assert (await world.call("/pods", tls=tls))[0] == 200


async def test_a_certificate_of_a_stranger_opens_nothing(tmp_path: Path) -> None:
    signer = Signer()
    async with serving(tmp_path, client_ca_file=trusting(tmp_path, signer)) as world:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.call("/pods", tls=Signer().client(tmp_path))


@pytest.mark.slow
async def test_a_certificate_that_expires_stops_working_on_an_open_connection(
    tmp_path: Path,
) -> None:
    signer = Signer()
    async with serving(tmp_path, client_ca_file=trusting(tmp_path, signer)) as world:
        tls = signer.client(tmp_path, lasts=timedelta(seconds=2))
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            statuses = []
            async with asyncio.timeout(10):
                while 401 not in statuses:
                    async with session.get(world.url("/healthz"), ssl=tls) as answer:
                        statuses.append(answer.status)
                        await answer.read()
    assert set(statuses) == {200, 401}


async def test_an_authority_that_is_taken_away_is_not_believed_on_an_open_connection(
    tmp_path: Path,
) -> None:
    """One that stays in the bundle goes on working, without a new handshake."""
    one, other = Signer("one"), Signer("other")
    file = tmp_path / "clients.pem"
    file.write_bytes(one.pem + other.pem)
    async with (
        serving(tmp_path, client_ca_file=file) as world,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as first,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as second,
    ):
        clients = [(first, one.client(tmp_path)), (second, other.client(tmp_path))]

        async def statuses() -> list[int]:
            found = []
            for session, tls in clients:
                async with session.get(world.url("/healthz"), ssl=tls) as answer:
                    found.append(answer.status)
                    await answer.read()
            return found

        assert await statuses() == [200, 200]
        file.write_bytes(other.pem)
        world.server.serving_certificate.client_ca.read()
        assert await statuses() == [401, 200]


async def test_the_cluster_s_authority_is_followed(tmp_path: Path) -> None:
    """A new one in the ConfigMap is believed soon, the one for front proxies never."""
    new, proxies = Signer("new"), Signer("proxies")
    async with serving(tmp_path) as world:
        assert (await world.call("/pods", tls=world.certificate()))[0] == 200
        data = {"client-ca-file": new.pem.decode()}
        data["requestheader-client-ca-file"] = proxies.pem.decode()
        name = "extension-apiserver-authentication"
        changed = asyncio.Event()
        authority = world.server.serving_certificate.client_ca
        renew = authority.on_change

        def noted() -> None:
            renew()
            changed.set()

        authority.on_change = noted
        patch = {"data": data}
        await world.client.patch(CONFIG_MAPS, name, patch, namespace="kube-system")
        await asyncio.wait_for(changed.wait(), 10)
        assert (await world.call("/pods", tls=new.client(tmp_path)))[0] == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await world.call("/pods", tls=proxies.client(tmp_path))


async def test_a_token_is_asked_about_once(tmp_path: Path) -> None:
    """Many requests at once with one token make one review, and one of its right."""
    async with serving(tmp_path) as world:
        token = await world.token("reader")
        await world.grant("system:serviceaccount:default:reader", "get", "pods")
        before = len(world.reviews)
        calls = [world.call("/pods", token=token) for _ in range(20)]
        found = await asyncio.gather(*calls)
        assert {status for status, _ in found} <= {200, 403}
        assert len(world.reviews) - before <= 3


async def test_unknown_tokens_are_asked_about_at_a_bounded_rate(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is refused with 429; no token shows in the log."""
    async with serving(tmp_path) as world:
        before = len(world.reviews)
        calls = [world.call("/pods", token=f"hunter-{number}") for number in range(60)]
        statuses = [status for status, _ in await asyncio.gather(*calls)]
        assert set(statuses) == {401, 429}
        assert len(world.reviews) - before == statuses.count(401) < 40
        again = await world.call("/pods", token=f"hunter-{statuses.index(401)}")
        assert again[0] == 401
    assert "hunter" not in caplog.text


async def test_the_finer_right_is_asked_about_first_and_two_at_most(tmp_path: Path) -> None:
    """An answer is remembered, a no as well as a yes."""
    async with serving(tmp_path) as world:
        await world.grant("fine", "get", "pods")
        await world.grant("coarse", "get", "proxy")
        for user, status, asked in (("fine", 200, 1), ("coarse", 200, 2), ("stranger", 403, 2)):
            tls = world.certificate(user)
            before = len(world.reviews)
            assert (await world.call("/pods", tls=tls))[0] == status
            assert len(world.reviews) - before == asked
            assert (await world.call("/pods", tls=tls))[0] == status
            assert len(world.reviews) - before == asked


async def test_a_forbidden_request_is_logged_without_the_query(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Names and commands of a request are not ours to write down."""
    path = "/exec/default/web/app?output=1&command=echo&command=hunter2"
    async with serving(tmp_path) as world:
        assert (await world.call(path, tls=world.certificate("stranger")))[0] == 403
    (record,) = [one for one in caplog.records if one.getMessage() == "request forbidden"]
    said_of = {name: vars(record)[name] for name in ("user", "verb", "resource", "path")}
    assert said_of == {
        "user": "stranger",
        "verb": "create",
        "resource": "nodes/proxy",
        "path": "/exec/{namespace}/{pod}/{container}",
    }
    assert all("hunter2" not in str(vars(one)) for one in caplog.records)


@pytest.mark.slow
async def test_tokens_from_many_addresses_have_one_limit_together(tmp_path: Path) -> None:
    """50 a second; each address has its own of 10 below it."""
    async with serving(tmp_path) as world, AsyncExitStack() as stack:
        before, calls = len(world.reviews), []
        tls, loop = client_context(), asyncio.get_running_loop()
        began = loop.time()
        for number in range(20):
            connector = aiohttp.TCPConnector(local_addr=(f"127.0.0.{number + 10}", 0))
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            for token in range(10):
                headers = {"Authorization": f"Bearer hunter-{number}-{token}"}
                calls.append(session.get(world.url("/pods"), ssl=tls, headers=headers))
        statuses = [answer.status for answer in await asyncio.gather(*calls)]
        asked = len(world.reviews) - before
        assert asked == statuses.count(401)
        assert set(statuses) == {401, 429}
        assert 50 <= asked <= 51 + 50 * (loop.time() - began)


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Basic YWRtaW46YWRtaW4=")],
        [("Authorization", "Bearer ")],
        [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
        [("Authorization", "Bearer " + "x" * 17_000)],
        [("X-Remote-User", "admin"), ("X-Remote-Group", MASTERS)],
        [("Impersonate-User", "admin")],
    ],
)
async def test_headers_that_prove_nothing(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    async with serving(tmp_path) as world:
        before = len(world.reviews)
        url, tls = world.url("/pods"), client_context()
        async with world.session.get(url, ssl=tls, headers=headers) as answer:
            assert answer.status == 401
        assert len(world.reviews) == before


@pytest.mark.slow
async def test_without_a_way_to_know_anybody_only_health_is_served(tmp_path: Path) -> None:
    """Neither authority nor TokenReview: everything else says 401, and the log says why."""
    async with DevCluster(tmp_path / "cluster") as cluster:
        poor = cluster.kubeconfig_for("poor")
        with said("only health is served") as alarm:
            async with serving(tmp_path, kubeconfig=poor, cluster=cluster) as world:
                await asyncio.wait_for(alarm.wait(), 20)
                assert (await world.call("/healthz"))[0] == 200
                assert (await world.call("/readyz"))[0] == 200
                assert (await world.call("/livez"))[0] == 200
                for path in ("/pods", "/metrics", "/configz", "/containerLogs/default/web/app"):
                    assert (await world.call(path))[0] == 401
                    assert (await world.call(path, token="any"))[0] == 401


async def test_rights_that_cannot_be_checked_are_not_given(tmp_path: Path) -> None:
    signer = Signer()
    async with DevCluster(tmp_path / "cluster") as cluster:
        poor = cluster.kubeconfig_for("poor")
        authority = trusting(tmp_path, signer)
        async with serving(
            tmp_path, kubeconfig=poor, cluster=cluster, client_ca_file=authority
        ) as world:
            status, text = await world.call("/pods", tls=signer.client(tmp_path))
    assert (status, "items" in text) == (500, False)


async def test_an_api_server_that_is_away_means_no(tmp_path: Path) -> None:
    """With 503, since it may be back soon."""
    signer = Signer()
    async with DevCluster(tmp_path / "cluster") as cluster:
        authority = trusting(tmp_path, signer)
        async with serving(tmp_path, cluster=cluster, client_ca_file=authority) as world:
            await cluster._stack.aclose()
            assert (await world.call("/pods", tls=signer.client(tmp_path)))[0] == 503
            assert (await world.call("/pods", token="some"))[0] == 503


@pytest.mark.parametrize("address", ["192.0.2.1", "::1.2.3.4"])
async def test_insecure_dev_listens_on_loopback_only(tmp_path: Path, address: str) -> None:
    """Whatever the node's address is, and over TLS all the same."""
    async with serving(tmp_path, insecure_dev=True, internal_ip=address) as world:
        assert (await world.call("/pods"))[0] == 200
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        assert writer.get_extra_info("peername")[0] == "127.0.0.1"
        writer.close()
        every = {str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None)}
        for address in sorted(one for one in every if not one.startswith(("127.", "::1"))):
            with pytest.raises(OSError):
                await asyncio.open_connection(address, world.port)


async def test_a_lenient_node_lets_readers_run_commands_by_get(tmp_path: Path) -> None:
    """As the Go program does; only where it is configured."""
    path = "/exec/default/web/app?command=x&output=1"
    async with serving(tmp_path, authorization_webhook_get_exec=True) as world:
        await world.grant("reader", "get", "proxy")
        tls = world.certificate("reader")
        assert (await world.call(path, tls=tls))[0] not in (401, 403)
        assert (await world.call(path, "POST", tls=tls))[0] == 403
