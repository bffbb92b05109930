"""What a container finds in its environment, by the kubelet's rules."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from vk.errors import InvalidInputError
from vk.models.pod import DNS, Pod, Resolution
from vk.pods.errors import MissingReference, Notice
from vk.pods.resolve.environment import Need, needs, resolve
from vk.pods.resolve.services import service_links


def encoded(**values: str) -> dict[str, Any]:
    return {"data": {key: b64encode(value.encode()).decode() for key, value in values.items()}}


CONFIG_MAPS = {"one": {"data": {"a": "1", "b": "$(X)"}}, "two": {"data": {"b": "2", "9": "nine"}}}
SECRETS = {"hush": encoded(password="geheim", b="3"), "empty": {"data": None}}
ALLOCATABLE = {"cpu": "4", "memory": "8Gi"}


def pod(*env: dict[str, Any], **container: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "namespace": "shop",
            "uid": "u",
            "labels": {"app": "web", "tier": "x"},
            "annotations": None,
        },
        "spec": {
            "nodeName": "node-1",
            "serviceAccountName": "robot",
            "containers": [{"name": "main", "env": list(env) or None, **container}],
            "initContainers": None,
        },
    }


def run(raw: dict[str, Any], **options: Any) -> tuple[Resolution, list[Notice]]:
    given: dict[str, Any] = {
        "config_maps": CONFIG_MAPS,
        "secrets": SECRETS,
        "links": {},
        "allocatable": ALLOCATABLE,
        "dns": DNS(),
    }
    return resolve(raw, **{**given, **options})


def env(raw: dict[str, Any], **options: Any) -> dict[str, str]:
    return dict(run(raw, **options)[0].containers[0].env)


def literal(name: str, value: str | None) -> dict[str, Any]:
    return {"name": name, "value": value}


def field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def key(name: str, kind: str, of: str, entry: str, optional: bool | None = None) -> dict[str, Any]:
    reference = {"name": of, "key": entry, "optional": optional}
    return {"name": name, "valueFrom": {f"{kind}KeyRef": reference}}


def all_of(kind: str, name: str, prefix: str | None = None, optional: Any = None) -> dict[str, Any]:
    return {"prefix": prefix, f"{kind}Ref": {"name": name, "optional": optional}}


def test_literals_build_on_earlier_ones_and_may_be_empty() -> None:
    raw = pod(literal("A", "1"), literal("B", "$(A)$(C)"), literal("C", None), literal("A", "$$x"))
    assert env(raw) == {"A": "$x", "B": "1$(C)", "C": ""}


def test_keys_are_not_expanded() -> None:
    raw = pod(literal("X", "x"), key("A", "configMap", "one", "b"), key("B", "secret", "hush", "b"))
    assert env(raw) == {"X": "x", "A": "$(X)", "B": "3"}


def test_env_goes_over_env_from_over_links() -> None:
    sources = [all_of("configMap", "one"), all_of("secret", "hush"), all_of("secret", "empty")]
    raw = pod(literal("a", "own"), envFrom=sources)
    found = env(raw, links={"a": "link", "b": "link", "L": "link"})
    assert found == {"L": "link", "a": "own", "b": "3", "password": "geheim"}


def test_env_from_takes_every_key_as_a_name() -> None:
    """A kubelet drops none since RelaxedEnvironmentVariableValidation: names may begin with 1."""
    sources = [all_of("configMap", "two"), all_of("configMap", "odd", prefix="P-")]
    odd = {"odd": {"data": {"1abc": "x", "a.b": "y"}}}
    resolution, notices = run(pod(envFrom=sources), config_maps=CONFIG_MAPS | odd)
    assert resolution.containers[0].env == {"b": "2", "9": "nine", "P-1abc": "x", "P-a.b": "y"}
    assert notices == []


@pytest.mark.parametrize(
    ("kind", "name", "entry", "reason"),
    [
        ("configMap", "none", "a", "ConfigMapNotFound"),
        ("configMap", "one", "z", "ConfigMapKeyNotFound"),
        ("secret", "none", "a", "SecretNotFound"),
        ("secret", "hush", "z", "SecretKeyNotFound"),
    ],
)
def test_what_is_missing_is_an_error_unless_optional(
    kind: str, name: str, entry: str, reason: str
) -> None:
    with pytest.raises(MissingReference, match=name) as caught:
        run(pod(key("A", kind, name, entry)))
    assert caught.value.reason == "Mandatory" + reason
    assert (caught.value.name, caught.value.kind.lower()) == (name, kind.lower())
    assert caught.value.key == (entry if "Key" in reason else "")
    resolution, notices = run(pod(key("A", kind, name, entry, optional=True)))
    assert resolution.containers[0].env == {}
    assert [(each.type, each.reason) for each in notices] == [("Warning", "Optional" + reason)]


@pytest.mark.parametrize(
    ("container", "told"),
    [
        (
            {"env": [key("A", "configMap", "none", "a")]},
            "container 'main', variable 'A': ConfigMap 'none' not found (wanted: key 'a')",
        ),
        (
            {"env": [key("A", "secret", "hush", "z")]},
            "container 'main', variable 'A': key 'z' of Secret 'hush' not found",
        ),
        (
            {"envFrom": [all_of("secret", "none")]},
            "container 'main', envFrom: Secret 'none' not found",
        ),
    ],
)
def test_what_is_missing_is_told_with_who_wants_what_of_it(
    container: dict[str, Any], told: str
) -> None:
    raw = pod()
    raw["spec"]["containers"] = [{"name": "main", **container}]
    with pytest.raises(MissingReference) as caught:
        run(raw)
    assert str(caught.value) == told


def test_what_is_optional_is_told_once_however_many_variables_miss_it() -> None:
    raw = pod(*(key(name, "configMap", "none", name, optional=True) for name in "abc"))
    _, (notice,) = run(raw)
    assert notice.message == "ConfigMap 'none' not found"


def test_a_missing_object_of_env_from_is_an_error_unless_optional() -> None:
    with pytest.raises(MissingReference) as caught:
        run(pod(envFrom=[all_of("secret", "none")]), secrets={"none": None})
    assert caught.value.reason == "MandatorySecretNotFound"
    _, notices = run(pod(envFrom=[all_of("configMap", "none", optional=True)]))
    assert [notice.reason for notice in notices] == ["OptionalConfigMapNotFound"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u"),
        ("metadata.labels", 'app="web"\ntier="x"'),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations", ""),
        ("metadata.annotations['a']", ""),
        ("spec.nodeName", "node-1"),
        ("spec.host", "node-1"),
        ("spec.serviceAccountName", "robot"),
        ("spec.restartPolicy", "Always"),
        ("spec.schedulerName", "default-scheduler"),
        ("status.phase", "Pending"),
        ("status.podIP", "10.0.0.1"),
        ("status.podIPs", "10.0.0.1,fd00::1"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1"),
    ],
)
def test_every_field_works(path: str, value: str) -> None:
    found = env(pod(field("A", path)), pod_ips=("10.0.0.1", "fd00::1"), host_ips=("192.0.2.1",))
    assert found == {"A": value}


@pytest.mark.parametrize("path", ["metadata.nothing", "spec.nodeName['a']", ""])
def test_other_fields_are_refused(path: str) -> None:
    with pytest.raises(InvalidInputError):
        run(pod(field("A", path)))


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.cpu", "divisor": "0"}, "2"),
        ({"resource": "limits.memory", "divisor": "1Gi"}, "8"),
        ({"resource": "requests.memory", "divisor": "1Mi"}, "2"),
        ({"resource": "requests.cpu"}, "0"),
        ({"resource": "limits.cpu", "containerName": "main"}, "2"),
    ],
)
def test_resources_are_rounded_up_to_the_divisor(reference: dict[str, Any], value: str) -> None:
    resources = {"limits": {"cpu": "1500m"}, "requests": {"memory": "1025Ki"}}
    raw = pod({"name": "A", "valueFrom": {"resourceFieldRef": reference}}, resources=resources)
    assert env(raw) == {"A": value}


def test_a_limit_of_zero_is_the_nodes_like_none_at_all() -> None:
    """As in the kubelet's MergeContainerResourceLimits; a pod's own limit of zero is none too."""
    reference = {"resource": "limits.memory", "divisor": "1Gi"}
    asks = {"name": "A", "valueFrom": {"resourceFieldRef": reference}}
    zero = {"limits": {"memory": "0"}}
    raw = pod(asks, resources=zero)
    assert env(raw) == {"A": "8"}
    raw["spec"]["resources"] = zero
    assert env(raw) == {"A": "8"}
    raw["spec"]["resources"] = {"limits": {"memory": "3Gi"}}
    assert env(raw) == {"A": "3"}


def test_variables_with_addresses_stay_open_until_these_are_known() -> None:
    raw = pod(
        field("IP", "status.podIP"),
        literal("URL", "http://$(IP)/"),
        literal("NOTE", "$$(IP)"),
        field("HOST", "status.hostIP"),
        literal("FIXED", "1"),
        command=["serve", "$(IP)", "$(FIXED)"],
        args=["$(URL)"],
    )
    config_maps = dict(CONFIG_MAPS)
    resolution, _ = run(raw, links={"IP": "link"}, config_maps=config_maps)
    main = resolution.containers[0]
    assert main.env == {"NOTE": "$(IP)", "FIXED": "1"}
    assert main.open_env == ("IP", "URL", "HOST")
    assert (main.command, main.args) == (("serve", "$(IP)", "1"), ("$(URL)",))

    opened = Pod(raw, resolution=resolution).with_ips(["10.0.0.1"])
    assert opened.containers[0].open_env == ("HOST",)
    closed = opened.with_ips(["10.0.0.2"], ["192.0.2.1"]).containers[0]
    assert closed.open_env == ()
    assert closed.env["URL"] == "http://10.0.0.2/"
    assert (closed.command, closed.args) == (("serve", "10.0.0.2", "1"), ("http://10.0.0.2/",))


def test_a_later_literal_closes_an_open_variable() -> None:
    main = run(pod(field("IP", "status.podIP"), literal("IP", "x")))[0].containers[0]
    assert (main.env, main.open_env) == ({"IP": "x"}, ())


def test_a_pod_without_addresses_in_its_variables_has_nothing_to_reopen() -> None:
    resolution, _ = run(pod(literal("A", "1")))
    whole = Pod(pod(), resolution=resolution)
    assert whole.with_ips(["10.0.0.1"]) is whole


def test_a_pod_in_the_hosts_network_has_the_hosts_address() -> None:
    raw = pod(field("IP", "status.podIP"))
    raw["spec"]["hostNetwork"] = True
    assert env(raw, host_ips=("192.0.2.1",)) == {"IP": "192.0.2.1"}


def test_reopening_uses_the_objects_of_the_first_time() -> None:
    config_maps = {"one": {"data": {"a": "1"}}}
    raw = pod(field("IP", "status.podIP"), key("A", "configMap", "one", "a"))
    resolution, _ = run(raw, config_maps=config_maps)
    config_maps.clear()
    assert resolution.reopen is not None
    assert resolution.reopen(["10.0.0.1"], []).containers[0].env == {"IP": "10.0.0.1", "A": "1"}


def test_needs_are_required_where_one_of_them_is() -> None:
    raw = pod(
        key("A", "configMap", "one", "a", optional=True),
        key("B", "configMap", "one", "b"),
        key("C", "secret", "hush", "b", optional=True),
        envFrom=[all_of("secret", "other", optional=None), all_of("secret", "hush", optional=True)],
    )
    found = needs(raw)
    assert found.config_maps == {"one": Need(optional=False)}
    assert found.secrets == {"other": Need(optional=False), "hush": Need(optional=True)}
    assert needs({"spec": None}).secrets == {}


def test_ephemeral_containers_are_resolved_like_the_others() -> None:
    """And may refer to resources of the pod's containers, having none of their own."""
    raw = pod(resources={"limits": {"cpu": "2"}})
    limit = {"resource": "limits.cpu", "containerName": "main"}
    debug = {
        "name": "debug",
        "image": "busybox",
        "targetContainerName": "main",
        "command": ["sh", "-c", "echo $(A) $(IP)"],
        "env": [
            key("A", "configMap", "one", "a"),
            key("B", "secret", "hush", "password", optional=True),
            {"name": "CPU", "valueFrom": {"resourceFieldRef": limit}},
            field("IP", "status.podIP"),
        ],
        "envFrom": [all_of("configMap", "two", prefix="P_")],
    }
    raw["spec"]["ephemeralContainers"] = [debug]
    assert needs(raw).config_maps == {"one": Need(optional=False), "two": Need(optional=False)}
    assert needs(raw).secrets == {"hush": Need(optional=True)}
    resolution, _ = run(raw)
    (found,) = Pod(raw, resolution=resolution).ephemeral_containers
    assert found.env == {"A": "1", "B": "geheim", "CPU": "2", "P_b": "2", "P_9": "nine"}
    assert (found.open_env, found.command[-1]) == (("IP",), "echo 1 $(IP)")
    (opened,) = Pod(raw, resolution=resolution).with_ips(["10.0.0.1"]).ephemeral_containers
    assert opened.command[-1] == "echo 1 10.0.0.1"


def test_what_an_ephemeral_container_misses_is_an_error() -> None:
    raw = pod()
    entry = key("A", "configMap", "none", "a")
    raw["spec"]["ephemeralContainers"] = [{"name": "debug", "env": [entry]}]
    with pytest.raises(MissingReference, match="none"):
        run(raw)


def service(name: str, namespace: str, ip: str | None, *ports: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"metadata": metadata, "spec": {"clusterIP": ip, "ports": list(ports)}}


SERVICES = [
    service("my-db", "shop", "10.0.0.5", {"port": 53, "protocol": "UDP", "name": "dns-udp"}),
    service("v6", "shop", "fd00::5", {"port": 80}),
    service("headless", "shop", "None", {"port": 80}),
    service("outside", "shop", None),
    service("elsewhere", "other", "10.0.0.6", {"port": 80}),
    service("kubernetes", "default", "10.0.0.1", {"port": 443, "name": "https"}),
]
KUBERNETES = {
    "KUBERNETES_SERVICE_HOST": "10.0.0.1",
    "KUBERNETES_SERVICE_PORT": "443",
    "KUBERNETES_SERVICE_PORT_HTTPS": "443",
    "KUBERNETES_PORT": "tcp://10.0.0.1:443",
    "KUBERNETES_PORT_443_TCP": "tcp://10.0.0.1:443",
    "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
    "KUBERNETES_PORT_443_TCP_PORT": "443",
    "KUBERNETES_PORT_443_TCP_ADDR": "10.0.0.1",
}


def test_services_of_the_namespace_and_the_api_server_are_linked() -> None:
    links = service_links(SERVICES, "shop")
    assert links.items() >= KUBERNETES.items()
    assert links["MY_DB_SERVICE_PORT_DNS_UDP"] == "53"
    assert links["MY_DB_PORT_53_UDP"] == "udp://10.0.0.5:53"
    assert links["V6_PORT"] == "tcp://[fd00::5]:80"
    assert {name.split("_")[0] for name in links} == {"MY", "V6", "KUBERNETES"}
    assert service_links(SERVICES, "") == KUBERNETES


@pytest.mark.parametrize("enabled", [None, True, False])
def test_links_can_be_switched_off_but_for_the_api_servers(enabled: bool | None) -> None:
    raw = pod()
    raw["spec"]["enableServiceLinks"] = enabled
    links = service_links(SERVICES, "shop")
    assert env(raw, links=links) == (KUBERNETES if enabled is False else links)


@pytest.mark.parametrize(
    ("address", "host"),
    [("api.example.org:6443", "api.example.org"), ("[fd00::1]:6443", "fd00::1")],
)
def test_the_api_servers_address_can_be_another(address: str, host: str) -> None:
    found = env(pod(), links=KUBERNETES, api_server=address)
    assert found["KUBERNETES_SERVICE_HOST"] == host
    assert found["KUBERNETES_SERVICE_PORT"] == "6443"


def test_a_secret_that_cannot_be_read_does_not_show() -> None:
    with pytest.raises(InvalidInputError) as caught:
        run(pod(key("A", "secret", "bad", "k")), secrets={"bad": {"data": {"k": "geheim!a"}}})
    assert "geheim" not in str(caught.value)


@pytest.mark.field
def test_variables_that_only_describe_services_are_named() -> None:
    """Not what the pod sets itself, nor the address of the API server."""
    links = {"DB_PORT": "1", "OWN_PORT": "2", "b": "link", "KUBERNETES_PORT": "3"}
    raw = pod(literal("OWN_PORT", "2"), envFrom=[all_of("configMap", "one")])
    [container] = run(raw, links=links)[0].containers
    assert container.env["b"] != "link"
    assert container.service_env == {"DB_PORT"}
