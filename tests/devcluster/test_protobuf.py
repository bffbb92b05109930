"""Protobuf bodies: what typed Go clients send, and what is not protobuf."""

from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from cluster_api import CONFIG_MAPS, NAMESPACES, PODS, Api, pod
from hypothesis import given
from hypothesis import strategies as st

from vk.devcluster.protobuf import PREFIX, decode_message

PROTOBUF = "application/vnd.kubernetes.protobuf"


def field(number: int, value: int | str | bytes) -> bytes:
    """Write one field: a number as varint, the rest with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    text = b""
    while value >= 0x80:
        text += bytes([value & 0x7F | 0x80])
        value >>= 7
    return text + bytes([value])


def message(version: str, kind: str, *parts: bytes) -> bytes:
    return PREFIX + field(1, field(1, version) + field(2, kind)) + field(2, b"".join(parts))


# what kubectl 1.37 sent for: create configmap a --from-literal=x=y
CONFIG_MAP = (
    b'k8s\x00\n\x0f\n\x02v1\x12\tConfigMap\x12\x1b\n\x11\n\x01a\x12\x00\x1a\x00"\x00*\x002\x008'
    b'\x00B\x00\x12\x06\n\x01x\x12\x01y\x1a\x00"\x00'
)


async def test_what_kubectl_sends_becomes_an_object(api: Api) -> None:
    created = await api.ok("POST", CONFIG_MAPS, CONFIG_MAP, form=PROTOBUF)
    assert (created["metadata"]["name"], created["data"]) == ("a", {"x": "y"})


async def test_an_eviction_of_drain_is_understood(api: Api) -> None:
    await api.ok("POST", PODS, pod("a", nodeName="n1"))
    options = field(1, 7)
    body = message("policy/v1", "Eviction", field(1, field(1, "a")), field(2, options))
    reply = await api("POST", f"{PODS}/a/eviction", body, form=PROTOBUF)
    assert reply.status == 201
    evicted = await api.ok("GET", f"{PODS}/a")
    assert evicted["metadata"]["deletionGracePeriodSeconds"] == 7


async def test_delete_options_are_understood(api: Api) -> None:
    await api.ok("POST", PODS, pod("a", nodeName="n1"))
    options = message("v1", "DeleteOptions", field(1, 3), field(4, "Background"))
    marked = await api.ok("DELETE", f"{PODS}/a", options, form=PROTOBUF)
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 3


def test_every_type_of_field_is_read() -> None:
    resources = field(1, field(1, "cpu") + field(2, field(1, "100m")))
    port = field(1, "http") + field(3, 80)
    probe = field(1, field(2, field(1, "/live") + field(2, field(1, 1) + field(3, "http"))))
    container = b"".join(
        [
            field(1, "main"),
            field(3, "sh"),
            field(3, "-c"),
            field(6, port),
            field(8, resources),
            field(10, probe + field(2, -1)),
            field(18, 1),
        ]
    )
    volume = field(1, "v") + field(2, field(6, field(1, "s")))
    spec = field(1, volume) + field(2, container) + field(4, 30)
    created = field(8, field(1, 1_000_000_000))
    metadata = field(1, "a") + created + field(11, field(1, "k") + field(2, "v"))
    found = decode_message(message("v1", "Pod", field(1, metadata), field(2, spec)))
    assert found == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": "a",
            "creationTimestamp": "2001-09-09T01:46:40Z",
            "labels": {"k": "v"},
        },
        "spec": {
            "volumes": [{"name": "v", "secret": {"secretName": "s"}}],
            "containers": [
                {
                    "name": "main",
                    "command": ["sh", "-c"],
                    "ports": [{"name": "http", "containerPort": 80}],
                    "resources": {"limits": {"cpu": "100m"}},
                    "livenessProbe": {
                        "httpGet": {"path": "/live", "port": "http"},
                        "initialDelaySeconds": -1,
                    },
                    "tty": True,
                }
            ],
            "terminationGracePeriodSeconds": 30,
        },
    }


def test_bytes_and_fine_times_and_lists_in_maps_are_read() -> None:
    secret = decode_message(
        message("v1", "Secret", field(2, field(1, "p") + field(2, b"\xff\x00")), field(3, "Opaque"))
    )
    assert secret["data"] == {"p": base64.b64encode(b"\xff\x00").decode()}
    renewed = field(1, 1_000_000_000) + field(2, 123_456_000)
    lease = decode_message(
        message("coordination.k8s.io/v1", "Lease", field(2, field(1, "me") + field(4, renewed)))
    )
    assert lease["spec"]["renewTime"] == "2001-09-09T01:46:40.123456Z"
    extra = field(1, "key") + field(2, field(1, "one") + field(1, "two"))
    review = decode_message(
        message("authorization.k8s.io/v1", "SubjectAccessReview", field(2, field(5, extra)))
    )
    assert review["spec"]["extra"] == {"key": ["one", "two"]}


def test_the_two_events_are_distinguished_by_their_group() -> None:
    new = decode_message(message("events.k8s.io/v1", "Event", field(10, "hello")))
    assert new["note"] == "hello"
    old = decode_message(message("v1", "Event", field(4, "hello")))
    assert old["message"] == "hello"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        PREFIX + b"\n\xff",
        message("v1", "Nonsense"),
        message("v1", "ConfigMap", field(1, 5)),
        message("v1", "ConfigMap", b"\x0b"),
        message("v1", "ConfigMap", field(2, b"\xff\xff")),
    ],
)
async def test_what_cannot_be_read_is_a_bad_request(api: Api, body: bytes) -> None:
    reply = await api("POST", CONFIG_MAPS, body, form=PROTOBUF)
    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")


@given(st.binary(max_size=200))
def test_any_bytes_give_an_object_or_a_value_error(data: bytes) -> None:
    for body in (data, PREFIX + data, message("v1", "Pod", data), message("v1", "Secret", data)):
        with suppress(ValueError):
            assert isinstance(decode_message(body), dict)


async def test_a_namespace_of_kubectl_create_is_active(api: Api) -> None:
    body = message("v1", "Namespace", field(1, field(1, "team")), field(2, b""), field(3, b""))
    created = await api.ok("POST", NAMESPACES, body, form=PROTOBUF)
    assert created["status"]["phase"] == "Active"
