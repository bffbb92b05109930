"""The configuration as users write it: the 2018 variables, the Go provider's TOML, our own file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from eci_world import pod

import vk
from vk.cli.provider_config import load
from vk_providers.alibabacloud.config import EciConfig, Profile
from vk_providers.alibabacloud.profiles import ProfileFile, profile_for


def loaded(environment: dict[str, str] | None = None, file: Path | None = None, **more: str) -> Any:
    return load(
        EciConfig,
        provider="alibabacloud",
        environment=environment or {},
        file=file,
        overrides=more,
    )


def test_the_variables_of_the_2018_manifest_work_unchanged() -> None:
    config = loaded(
        {
            "ECI_REGION": "cn-hangzhou",
            "ECI_VSWITCH": "vsw-a,vsw-b",
            "ECI_SECURITY_GROUP": "sg-a",
            "ECI_ACCESS_KEY": "ak",
            "ECI_SECRET_KEY": "sk",
            "ECI_CLUSTER_NAME": "prod",
            "ECI_QUOTA_CPU": "100",
            "ECI_QUOTA_MEMORY": "4Ti",
            "ECI_QUOTA_POD": "50",
        }
    )
    assert config.vswitches == ("vsw-a", "vsw-b")
    assert (config.cpu, config.memory, config.pods) == ("100", "4Ti", "50")
    assert (config.access_key, config.secret_key, config.cluster_name) == ("ak", "sk", "prod")


def test_the_toml_file_of_the_go_provider_is_understood(tmp_path: Path) -> None:
    file = tmp_path / "eci.toml"
    file.write_text(
        'Region = "cn-beijing"\nOperatingSystem = "Linux"\nCPU = "20"\nMemory = "100Gi"\n'
        'Pods = "30"\nVSwitch = "vsw-a"\nSecureGroup = "sg-a"\nClusterName = "c"\n'
    )
    config = loaded(file=file)
    assert (config.region, config.vswitches, config.security_group) == (
        "cn-beijing",
        ("vsw-a",),
        "sg-a",
    )
    assert (config.cpu, config.memory, config.pods, config.cluster_name) == (
        "20",
        "100Gi",
        "30",
        "c",
    )


def test_every_plain_field_is_a_variable() -> None:
    import attrs

    without = [field.name for field in attrs.fields(EciConfig) if "env" not in field.metadata]
    assert without == ["others", "allow", "profiles"]  # those are for a file


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("operating_system", "Windows"),
        ("quota_share", "1.5"),
        ("poll", "0"),
        ("endpoint", "ftp://x"),
        ("endpoint", "https://user:secret@x"),
        ("cpu", "many"),
        ("vswitches", ",".join(f"vsw-{n}" for n in range(11))),
        ("network", "moon"),
    ],
)
def test_what_cannot_work_is_one_line_with_its_name(name: str, value: str) -> None:
    with pytest.raises(vk.ConfigError) as caught:
        loaded(**{name: value})
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    assert "secret" not in text


@pytest.mark.parametrize("selector", ["a in (", "a b", 5])
def test_a_profile_whose_selector_cannot_be_read_is_refused_at_start(
    tmp_path: Path, selector: object
) -> None:
    """Else it would be each pod's create that fails."""
    file = tmp_path / "eci.yaml"
    file.write_text(json.dumps({"profiles": [{"name": "a", "selector": selector}]}))
    with pytest.raises(vk.ConfigError, match="selector"):
        load(EciConfig, provider="alibabacloud", file=file, overrides={}, environment={})


def test_profiles_go_by_namespace_and_labels_and_the_first_that_fits_is_taken() -> None:
    profiles = [
        Profile(name="team", namespaces=["other"]),
        Profile(name="web", selector="app=web"),
        Profile(name="rest"),
    ]
    spec = {"containers": [{"name": "c", "image": "i"}]}
    labelled = pod({"pod": {"metadata": {"labels": {"app": "web"}}, "spec": spec}})
    assert profile_for(labelled, profiles).name == "web"
    assert profile_for(pod({"pod": {"spec": spec}}), profiles).name == "rest"
    assert profile_for(pod({"pod": {"spec": spec}}), []).name == ""


def test_the_file_of_profiles_is_read_again_and_a_broken_one_changes_nothing(
    tmp_path: Path,
) -> None:
    file = tmp_path / "profiles.yaml"
    file.write_text("profiles: [{name: a, vswitches: [vsw-a]}]")
    profiles = ProfileFile(str(file))
    assert [profile.name for profile in profiles.read()] == ["a"]
    file.write_text("profiles: [{name: a}, {name: b}]")
    assert [profile.name for profile in profiles.read()] == ["a", "b"]
    file.write_text("profiles: [{nope: 1}] # longer")
    assert [profile.name for profile in profiles.read()] == ["a", "b"]
    with pytest.raises(vk.ConfigError, match="nope"):
        ProfileFile(str(file)).read()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("profile: []", "expected a list under the key profiles"),
        ("- name: b", "expected a list under the key profiles"),
        ("profiles: [{annotations: }]", "annotations"),
        ("profiles: [{annotations: [x]}]", "annotations"),
        ("profiles: [{annotations: {x: true}}]", "annotations"),
    ],
)
def test_a_profiles_file_that_is_no_profiles_leaves_the_last_good_ones(
    tmp_path: Path, text: str, expected: str
) -> None:
    """Else every pod's create would fail, or go without what its profile says."""
    file = tmp_path / "profiles.yaml"
    file.write_text("profiles: [{name: a}]")
    profiles = ProfileFile(str(file))
    profiles.read()
    file.write_text(text)
    assert [one.name for one in profiles.read()] == ["a"]
    with pytest.raises(vk.ConfigError, match=expected):
        ProfileFile(str(file)).read()
