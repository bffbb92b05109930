"""File, environment and --set become the provider's config class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from vk.cli.provider_config import load
from vk.errors import ConfigError


@attrs.frozen
class Inner:
    depth: int = 1


@attrs.frozen
class Config:
    name: str
    region: str = attrs.field(default="nowhere", metadata={"env": "T_REGION"})
    workers: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    rate: float = 1.0
    fast: bool = attrs.field(default=False, metadata={"env": "T_FAST"})
    zones: tuple[str, ...] = attrs.field(default=(), converter=tuple)
    sizes: list[int] = attrs.field(factory=list)
    labels: dict[str, str] = attrs.field(factory=dict)
    state: Path | None = None
    inner: Inner = Inner()


@attrs.frozen
class ByNode:
    cpu: str = "1"

    @classmethod
    def from_file(cls, data: Mapping[str, Any], node_name: str) -> Mapping[str, Any]:
        return data[node_name]  # type: ignore[no-any-return] # Any of a file


def fill(tmp_path: Path, content: str = "", *, name: str = "p.yaml", **sources: Any) -> Any:
    file = tmp_path / name
    file.write_text(content)
    return load(Config, provider="fake", file=file, **sources)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.toml", 'name = "x"\nworkers = 7'),
        ("p.yaml", "name: x\nworkers: 7"),
        ("p.json", '{"name": "x", "workers": 7}'),
        ("toml", 'name = "x"\nworkers = 7'),
        ("yaml", "name: x\nworkers: 7"),
        ("json", '{"name": "x", "workers": 7}'),
    ],
)
def test_the_form_is_known_by_suffix_or_content(tmp_path: Path, name: str, content: str) -> None:
    assert fill(tmp_path, content, name=name) == Config("x", workers=7)


def test_set_comes_before_the_environment_before_the_file(tmp_path: Path) -> None:
    content = "{name: x, region: file, fast: false, labels: {a: b}}"
    found = fill(
        tmp_path,
        content,
        environment={"T_REGION": "variable", "T_FAST": "true"},
        overrides={"region": "set"},
    )
    assert found == Config("x", region="set", fast=True, labels={"a": "b"})


def test_text_becomes_what_the_field_says() -> None:
    overrides = {
        "name": "12",
        "workers": "7",
        "rate": "2",
        "fast": "false",
        "zones": "a, b",
        "sizes": "[1, 2]",
        "labels.example.com/a": "1",
        "state": "folder/file",
        "inner.depth": "3",
    }
    assert load(Config, provider="fake", overrides=overrides) == Config(
        "12",
        workers=7,
        rate=2.0,
        zones=("a", "b"),
        sizes=[1, 2],
        labels={"example.com/a": "1"},
        state=Path("folder/file"),
        inner=Inner(3),
    )


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{name: x, wrkers: 1}", "unknown key 'wrkers' for provider 'fake', known: fast, inner"),
        ("{name: x, workers: secret}", "workers: expected a whole number, not a text"),
        ("{name: x, workers: 0}", "configuration of provider 'fake': 'workers' must be >= 1"),
        ("{name: x, workers: true}", "workers: expected a whole number, not true or false"),
        ("{name: x, fast: 1}", "fast: expected true or false, not a whole number"),
        ("{name: 3}", "name: expected a text, not a whole number"),
        ("{name: x, zones: abc}", "zones: expected a list, not a text"),
        ("{name: x, zones: 3}", "zones: "),
        ("{name: x, sizes: [1, b]}", "sizes[1]: expected a whole number"),
        ("{name: x, labels: [a]}", "labels: expected a mapping, not a list"),
        ("{name: x, inner: 3}", "inner: expected a mapping, not a whole number"),
        ("{name: x, inner: {depth: b}}", "inner.depth: expected a whole number"),
        ("{name: x, inner: {dpth: 1}}", "inner: unknown key dpth, known: depth"),
    ],
)
def test_a_wrong_value_names_file_and_key_and_what_was_expected(
    tmp_path: Path, content: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        fill(tmp_path, content)
    place = f"--provider-config: {tmp_path / 'p.yaml'}: "
    assert str(caught.value).startswith(place + told)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"overrides": {"name": "x", "workers": "many"}}, "--set: workers: expected a whole"),
        ({"overrides": {"name": "x", "nope": "1"}}, "--set: unknown key 'nope'"),
        ({"overrides": {"workers.a": "1"}}, "--set: workers.a: workers is a whole number"),
        (
            {"overrides": {"name": "x"}, "environment": {"T_FAST": "perhaps"}},
            "T_FAST: fast: expected true or false",
        ),
        ({}, "name: provider 'fake' expects a text"),
    ],
)
def test_a_wrong_override_names_its_place(sources: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Config, provider="fake", **sources)
    assert str(caught.value).startswith(told)


def test_a_class_may_translate_its_file(tmp_path: Path) -> None:
    file = tmp_path / "vk.json"
    file.write_text('{"node-1": {"cpu": "20"}}')
    assert load(ByNode, provider="fake", file=file, node_name="node-1") == ByNode("20")
    with pytest.raises(ConfigError, match=r"vk\.json"):
        load(ByNode, provider="fake", file=file, node_name="node-2")


def test_a_provider_without_configuration_takes_none() -> None:
    assert load(None, provider="fake") is None
    with pytest.raises(ConfigError, match="--set: provider 'fake' takes no configuration"):
        load(None, provider="fake", overrides={"a": "b"})
