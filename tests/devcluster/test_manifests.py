"""Manifest files: what is read from them, and the one line that a mistake gets."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from vk.cli.dev.manifests import read_manifests
from vk.errors import ConfigError

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: nginx
spec:
  containers:
  - name: main
    image: nginx
    env:
    - name: PORT
      value: "80"
"""
NODE = "apiVersion: v1\nkind: Node\nmetadata:\n  name: one\n"


def write(folder: Path, text: str, name: str = "pod.yaml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def refusal(folder: Path, text: str, name: str = "pod.yaml") -> str:
    """Return what is said about a file, after its path."""
    path = write(folder, text, name)
    with pytest.raises(ConfigError) as caught:
        read_manifests([path])
    told = str(caught.value)
    assert "\n" not in told
    start = f"--apply: {path}:"
    assert told.startswith(start)
    return told.removeprefix(start)


def test_the_objects_of_all_files_come_in_order(tmp_path: Path) -> None:
    first = write(tmp_path, f"{POD}---\n{NODE}---\n", "first.yaml")
    second = write(tmp_path, json.dumps({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "x"}},
    ]}), "second.json")  # fmt: skip
    found = read_manifests([second, first])
    assert [(one.kind.name, one.namespace, one.name) for one in found] == [
        ("ConfigMap", "x", "c"),
        ("Pod", "default", "nginx"),
        ("Node", "", "one"),
    ]
    assert [one.place for one in found] == [f"{second}:1", f"{first}:1", f"{first}:13"]


def test_the_body_is_the_content_of_the_file(tmp_path: Path) -> None:
    (found,) = read_manifests([write(tmp_path, NODE)])
    assert found.body == {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "one"}}


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(POD.encode())))
    (found,) = read_manifests(["-"])
    assert (found.name, found.place) == ("nginx", "standard input:1")


def test_typed_lists_are_lists(tmp_path: Path) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "PodList", "items": []})
    assert read_manifests([write(tmp_path, text)]) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", " holds no object"),
        ("--- \n", " holds no object"),
        ("a: [\n", "1: not YAML: did not find expected node content"),
        ("just a text\n", "1: expected a Kubernetes object, not a plain value"),
        ("# x\n- 1\n", "2: expected a Kubernetes object, not a list"),
        ("kind: Pod\n", "1: apiVersion: expected a text such as v1"),
        ("apiVersion: v1\n\nkind: 7\n", "3: kind: expected a text such as Pod"),
        ("apiVersion: v1\nkind: Pod\n", "1: metadata: expected a mapping with a name"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}\n", "3: metadata.name: Required value"),
        (POD.replace("name: nginx", "name: nginx\n  name: b"), "5: key 'name' is given twice"),
        (POD.replace("    image:", "    imgae:"), '8: unknown field "spec.containers[0].imgae"'),
        (POD.replace('"80"', "80"), "11: cannot unmarshal number into Go struct field"),
        (POD.replace("name: main", "name: Main"), "7: spec.containers[0].name: Invalid value"),
        (POD.replace("  - name: main\n    image", "  - image"), "7: spec.containers[0].name: "),
        (POD.replace("name: nginx", "name: Nginx"), "4: metadata.name: Invalid value"),
    ],
)
def test_a_mistake_is_one_line_with_file_line_and_field(
    tmp_path: Path, text: str, told: str
) -> None:
    assert refusal(tmp_path, text).startswith(told)


def test_a_kind_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    text = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n"
    told = refusal(tmp_path, f"{NODE}---\n{text}")
    assert told.startswith("7: kind: the embedded cluster has no apps/v1 Deployment; it has ")
    assert "Pod" in told


def test_kinds_that_are_only_answered_cannot_be_applied(tmp_path: Path) -> None:
    text = "apiVersion: authentication.k8s.io/v1\nkind: TokenReview\nmetadata:\n  name: a\n"
    assert "has no authentication.k8s.io/v1 TokenReview" in refusal(tmp_path, text)


def test_a_mistake_in_a_list_has_the_line_of_its_entry(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {}\n"
    assert refusal(tmp_path, text) == "6: metadata.name: Required value"


def test_several_mistakes_are_counted(tmp_path: Path) -> None:
    text = POD.replace("name: main", "name: Main").replace("name: nginx", "name: Nginx")
    assert "(and 1 more)" in refusal(tmp_path, text)


def test_json_has_lines_too(tmp_path: Path) -> None:
    text = '{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"metadata": {\n\t\t"name": ""\n\t}\n}\n'
    assert refusal(tmp_path, text, "pod.json") == "5: metadata.name: Required value"


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read: "):
        read_manifests([str(tmp_path / name)])


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "pod.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="expected UTF-8 text"):
        read_manifests([str(path)])
