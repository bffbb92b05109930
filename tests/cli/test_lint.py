"""`vk lint`: what a provider would make of the pods in a file, before any cluster sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

import vk
from vk.cli.lint import findings
from vk.cli.main import command
from vk.cli.pod_specs import pod_specs

POD = {
    "containers": [
        {"name": "main", "image": "busybox", "securityContext": {"privileged": True}, "tty": True}
    ],
    "hostname": "me",
    "volumes": [{"name": "v", "hostPath": {"path": "/"}}, {"name": "c", "configMap": {}}],
}
TEMPLATE = {"template": {"spec": POD}}
OBJECTS: dict[str, dict[str, Any]] = {
    "spec": {"kind": "Pod", "spec": POD},
    "spec.template.spec": {"kind": "Deployment", "spec": TEMPLATE},
    "spec.jobTemplate.spec.template.spec": {
        "kind": "CronJob",
        "spec": {"jobTemplate": {"spec": TEMPLATE}},
    },
    "template.spec": {"kind": "PodTemplate", **TEMPLATE},
}


def run(path: Path | str, *flags: str, given: str | None = None) -> Result:
    arguments = ["lint", "-f", str(path), "--provider", "process", *flags]
    return CliRunner().invoke(command, arguments, input=given)


def write(folder: Path, *objects: Any) -> Path:
    path = folder / "objects.yaml"
    path.write_text(yaml.safe_dump_all([{"metadata": {"name": "x"}, **one} for one in objects]))
    return path


@pytest.mark.parametrize("place", list(OBJECTS))
def test_every_field_is_named_where_it_stands_in_the_file(tmp_path: Path, place: str) -> None:
    result = run(write(tmp_path, OBJECTS[place]), "--json")
    (found,) = json.loads(result.output)
    assert found["kind"] == OBJECTS[place]["kind"]
    verdicts = {one["path"]: one["verdict"] for one in found["findings"]}
    assert verdicts == {
        f"{place}.containers[0].securityContext.privileged": "refused",
        f"{place}.volumes[0].hostPath": "refused",
        f"{place}.hostname": "changed",
    }
    assert all(one["reason"] and one["advice"] for one in found["findings"])
    assert result.exit_code == 1


def test_the_table_says_the_worst_first_and_what_to_do(tmp_path: Path) -> None:
    lines = run(write(tmp_path, OBJECTS["spec"])).output.splitlines()
    assert lines[0] == "Pod x:"
    assert [line.split()[0] for line in lines[1:]] == ["refused", "refused", "changed"]
    assert "no process has more rights than vk; remove it, or keep the pod off" in lines[1]


def test_a_pod_that_is_honoured_as_it_stands_is_no_error(tmp_path: Path) -> None:
    spec = {"containers": [{"name": "main", "image": "x"}]}
    result = run(write(tmp_path, {"kind": "Pod", "spec": spec}, {"kind": "Service", "spec": {}}))
    assert (result.output, result.exit_code) == ("Pod x: process honours every field\n", 0)


def test_what_is_ignored_or_changed_is_no_error(tmp_path: Path) -> None:
    spec = {"hostname": "me", "dnsPolicy": "None"}
    result = run(write(tmp_path, {"kind": "Pod", "spec": spec}))
    assert result.exit_code == 0
    assert "ignored  spec.dnsPolicy" in result.output


def test_lists_and_several_files_are_read(tmp_path: Path) -> None:
    several = {"kind": "List", "items": [OBJECTS["spec"], OBJECTS["spec.template.spec"]]}
    given = json.dumps(OBJECTS["template.spec"])
    result = run(write(tmp_path, several), "-f", "-", "--json", given=given)
    kinds = [one["kind"] for one in json.loads(result.output)]
    assert kinds == ["Pod", "Deployment", "PodTemplate"]


def test_pods_of_a_pod_list_need_no_kind_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, {"kind": "PodList", "items": [{"spec": {"hostPID": True}}]})
    result = run(path)
    assert (result.output.splitlines()[0], result.exit_code) == ("Pod:", 1)


class NoClaims(vk.Provider):
    """Mounts folders only."""

    fields = vk.FieldTable(
        honoured=("spec.containers", "spec.volumes[].emptyDir"),
        refused={"spec.volumes": "no disks"},
    )


def test_the_claims_of_a_stateful_set_are_volumes_of_its_pods(tmp_path: Path) -> None:
    templates = [{"metadata": {"name": name}, "spec": {}} for name in ("data", "log")]
    spec = {
        "template": {"spec": {"volumes": [{"name": "t", "emptyDir": {}}]}},
        "volumeClaimTemplates": templates,
    }
    text = yaml.safe_dump({"kind": "StatefulSet", "metadata": {"name": "s"}, "spec": spec})
    (pod,) = pod_specs("f", text)
    found = [(one.place, one.verdict) for one in findings(pod, NoClaims.fields, "run")]
    assert found == [(f"spec.volumeClaimTemplates[{index}]", "refused") for index in (0, 1)]
    path = tmp_path / "objects.yaml"
    path.write_text(text)
    result = run(path, "--provider", "mock")
    assert result.exit_code == 0
    assert "  ignored  spec.volumeClaimTemplates[1] " in result.output


def test_kinds_of_the_same_name_that_are_not_kubernetes_own_are_passed_over(
    tmp_path: Path,
) -> None:
    foreign = {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": []}}
    result = run(write(tmp_path, foreign, {"kind": "Widget", "spec": 5}))
    assert (result.output, result.exit_code) == ("no pods in these files\n", 0)


def test_a_daemon_set_is_refused_unless_the_node_runs_them(tmp_path: Path) -> None:
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}}
    path = write(tmp_path, {"kind": "DaemonSet", "spec": spec})
    result = run(path)
    assert result.exit_code == 1
    assert "DaemonSetRefused" in result.output
    assert run(path, "--daemonsets", "run").exit_code == 0


DEPLOYMENT = "kind: Deployment\nmetadata: {name: web}\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("kind: Pod\nmetadata: {name: p}\nspec: [1]\n", ":3: Pod p: spec: expected a mapping"),
        ("kind: Pod\nmetadata: {name: p}\n", ":1: Pod p: spec: expected a mapping"),
        ("kind: Pod\nmetadata: {name: p}\nspec: ''\n", ":3: Pod p: spec: expected a mapping"),
        (DEPLOYMENT, ":1: Deployment web: spec: expected a mapping"),
        (
            DEPLOYMENT + "spec:\n  template: {metadata: {}}\n",
            ":4: Deployment web: spec.template.spec: expected a mapping",
        ),
        (
            DEPLOYMENT + "spec:\n  template:\n    spec:\n      containers: {name: main}\n",
            ":5: Deployment web: spec.template.spec: cannot unmarshal object into Go struct field "
            "PodSpec.spec.containers of type []v1.Container",
        ),
        (
            "kind: StatefulSet\nspec: {template: {spec: {}}, volumeClaimTemplates: {a: b}}\n",
            ":2: StatefulSet: spec.volumeClaimTemplates: expected a list",
        ),
        ("just text\n", ":1: expected a Kubernetes object, not a plain value"),
        ('[{"kind": "Pod"}]', ":1: expected a Kubernetes object, not a list"),
        ("metadata: {}\n---\n", ":1: kind: expected a text such as Pod"),
        ("kind: [Pod]\n", ":1: kind: expected a text such as Pod"),
        ("kind: pod\nspec: {}\n", ":1: kind: expected Pod, not 'pod'"),
        ("kind: List\nitems: {a: b}\n", ":2: items: expected a list"),
        ("kind: List\nitems:\n- {kind: Service}\n- 5\n", ":4: expected a Kubernetes object"),
        ("a: [\n", ":1: not YAML"),
        ('{"kind": "Pod"', ":1: not YAML"),
        ("", ": holds no object"),
        ("# a comment\n---\n# and another\n", ": holds no object"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--json",), ("--provider", "alibabacloud")])
def test_what_cannot_be_read_is_one_line_that_names_the_file(
    tmp_path: Path, content: str, told: str, flags: tuple[str, ...]
) -> None:
    path = tmp_path / "objects.yaml"
    path.write_text(content)
    result = run(path, *flags)
    assert result.exit_code == 2
    assert result.output.startswith(f"vk: error: -f: {path}{told}")
    assert len(result.output.splitlines()) == 1
    result = run("-", *flags, given=content)
    assert result.output.startswith(f"vk: error: -f: standard input{told}")


def test_bad_flags_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, OBJECTS["spec"])
    assert "--daemonsets: expected refuse or run" in run(path, "--daemonsets", "x").output
    assert "cannot be read: No such file" in run(tmp_path / "absent.yaml").output
    assert "cannot be read: Is a directory" in run(tmp_path).output


@pytest.mark.parametrize("provider", ["process", "alibabacloud"])
def test_a_variable_from_a_file_is_refused_where_variables_count(
    tmp_path: Path, provider: str
) -> None:
    """A Pod may have one since Kubernetes 1.35, and vk resolves none."""
    source = {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}
    container = {"name": "main", "image": "x", "env": [{"name": "A", "valueFrom": source}]}
    path = write(tmp_path, {"kind": "Pod", "spec": {"containers": [container]}})
    result = run(path, "--provider", provider)
    assert result.exit_code == 1
    assert "refused  spec.containers[0].env[0].valueFrom.fileKeyRef " in result.output
