"""Flag before environment before file before default; the Go program's arguments."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest

from vk.cli.arguments import translate
from vk.cli.options import OPTIONS, build_settings
from vk.errors import ConfigError
from vk.models.node import Taint
from vk.settings import Settings


def test_every_option_fills_a_field_of_settings() -> None:
    own = {field.name for field in attrs.fields(Settings)}
    together = {"taint_key", "taint_value", "taint_effect", "disable_taint"}
    assert {option.field for option in OPTIONS} <= own | together


def test_the_defaults_are_those_of_settings_and_one_taint() -> None:
    taint = Taint("virtual-kubelet.io/provider", "mock", "NoSchedule")
    assert build_settings({"provider": "mock"}, {}) == Settings(provider="mock", taints=(taint,))


def test_flag_then_environment_then_file_then_default(tmp_path: Path) -> None:
    file = tmp_path / "vk.toml"
    file.write_text('provider = "mock"\nnodename = "file"\n')
    flags = {"config": str(file), "nodename": "flag"}
    environment = {"DEFAULT_NODE_NAME": "variable"}
    assert build_settings(flags, environment).node_name == "flag"
    assert build_settings({"config": str(file)}, environment).node_name == "variable"
    assert build_settings({"config": str(file)}, {"DEFAULT_NODE_NAME": ""}).node_name == "file"
    assert build_settings({"provider": "mock"}, {}).node_name == "virtual-kubelet"


def test_what_has_only_a_variable_can_stand_in_the_file_too(tmp_path: Path) -> None:
    file = tmp_path / "vk.toml"
    file.write_text(
        'provider = "mock"\nkubelet-port = 10251\ninternal-ip = "192.0.2.1"\n'
        'taint-value = "v"\ntaint-effect = "NoExecute"\n'
    )
    settings = build_settings({"config": str(file)}, {"KUBELET_PORT": "10252"})
    assert (settings.kubelet_port, settings.internal_ip) == (10252, "192.0.2.1")
    assert settings.taints == (Taint("virtual-kubelet.io/provider", "v", "NoExecute"),)


@pytest.mark.parametrize("written", ["mine.py", ["mine.py"]])
def test_a_file_may_name_plugins_and_flags_come_before_it(tmp_path: Path, written: object) -> None:
    file = tmp_path / "vk.json"
    file.write_text(json.dumps({"provider": "mine", "plugin": written}))
    assert build_settings({"config": str(file)}, {}).plugins == (Path("mine.py"),)
    given = build_settings({"config": str(file), "plugin": ("a.py", "b.py")}, {})
    assert given.plugins == (Path("a.py"), Path("b.py"))


def test_set_adds_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "vk.yaml"
    file.write_text("provider: mock\nset: {a: 1, b: two}\n")
    settings = build_settings({"config": str(file), "set": ("b=flag", "c=3")}, {})
    assert settings.provider_settings == {"a": "1", "b": "flag", "c": "3"}


@pytest.mark.parametrize(
    ("flags", "environment", "taints"),
    [
        ({"taint": "a/b"}, {}, (Taint("a/b", "mock", "NoSchedule"),)),
        ({"disable-taint": True}, {"VKUBELET_TAINT_KEY": "k"}, ()),
        ({"taint": "a/b"}, {"VKUBELET_TAINT_KEY": "k"}, (Taint("k", "mock", "NoSchedule"),)),
        ({"taint": "a/b"}, {"VKUBELET_TAINT_KEY": ""}, (Taint("a/b", "mock", "NoSchedule"),)),
        ({"taint": "a/b"}, {"VKUBELET_TAINT_VALUE": "v"}, (Taint("a/b", "v", "NoSchedule"),)),
        (
            {},
            {
                "VKUBELET_TAINT_KEY": "k",
                "VKUBELET_TAINT_VALUE": "v",
                "VKUBELET_TAINT_EFFECT": "NoExecute",
            },
            (Taint("k", "v", "NoExecute"),),
        ),
    ],
)
def test_the_taint(flags: dict[str, object], environment: dict[str, str], taints: object) -> None:
    """A manifest of the Go program may set both: there the environment's key counts."""
    assert build_settings({"provider": "mock", **flags}, environment).taints == taints


@pytest.mark.parametrize(
    ("flags", "environment", "told"),
    [
        ({}, {}, "--provider: expected"),
        ({"os": "Linux"}, {}, "--os: expected one of linux, windows, not 'Linux'"),
        ({"pod-sync-workers": "0"}, {}, "--pod-sync-workers: expected a whole number, 1 or more"),
        ({}, {"KUBELET_PORT": "x"}, "KUBELET_PORT: expected a port"),
        ({}, {"VKUBELET_TAINT_EFFECT": "Never"}, "VKUBELET_TAINT_EFFECT: expected one of"),
        ({"config": "/does/not/exist.toml"}, {}, "--config: /does/not/exist.toml: cannot be read"),
    ],
)
def test_a_wrong_setting_names_its_place(
    flags: dict[str, object], environment: dict[str, str], told: str
) -> None:
    provider = {"provider": "mock"} if flags or environment else {}
    with pytest.raises(ConfigError) as caught:
        build_settings({**provider, **flags}, environment)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("suffix", "content", "told"),
    [
        (
            "toml",
            'node_name = "x"',
            "unknown key 'node_name', known: authorization-webhook-get-exec",
        ),
        ("toml", "a = [", "not TOML: "),
        ("yaml", "a: 1\nb: [", "not YAML: line 2"),
        ("yaml", "- a", "expected a mapping"),
        ("yaml", "pod-sync-workers: many", "pod-sync-workers: expected a whole number"),
        ("yaml", "nodename: null", "nodename: expected a DNS name"),
        ("yaml", "plugin: [mine.py, 3]", "plugin: expected a path, or a list of paths"),
        ("json", "{", "not JSON: "),
    ],
)
def test_a_wrong_file_names_file_and_line_or_key(
    tmp_path: Path, suffix: str, content: str, told: str
) -> None:
    file = tmp_path / f"vk.{suffix}"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        build_settings({"config": str(file), "provider": "mock"}, {})
    assert str(caught.value).startswith(f"--config: {file}: ") and told in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept", "ignored"),
    [
        (["--klog.v=2", "--klog.v", "3", "--os", "linux"], ["--os=linux"], ["--klog.v"]),
        (["--klog.logtostderr", "version"], ["version"], ["--klog.logtostderr"]),
        (["--namespace", "kube-system", "--provider=a"], ["--provider=a"], ["--namespace"]),
        (["--trace-tag", "a=b", "--trace-tag=c=d"], [], ["--trace-tag"]),
        (["--enable-node-lease", "--metrics-addr", ":1"], [], None),
        (["--disable-taint=false", "--not-ready-on-exit"], None, []),
        (["--nodename", "--klog.v=2"], ["--nodename=--klog.v=2"], []),
        (["providers", "--klog.v=2"], ["providers", "--klog.v=2"], []),
    ],
)
def test_arguments_of_the_go_program(
    given: list[str], kept: list[str] | None, ignored: list[str] | None
) -> None:
    expected_kept = ["--no-disable-taint", "--not-ready-on-exit"] if kept is None else kept
    expected = ["--enable-node-lease", "--metrics-addr"] if ignored is None else ignored
    assert translate(given) == (expected_kept, expected)
