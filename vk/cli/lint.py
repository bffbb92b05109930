"""`vk lint`: what a provider would refuse, ignore or change of the pods in manifests.

In: files and the name of a provider. Out: a table or JSON, and exit code 1 where a pod would be
refused. It reads the provider's FieldTable, as admission does, so both always agree; no cluster is
asked, and no provider is opened.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from vk.devcluster.documents import DocumentError, parse_documents
from vk.errors import ConfigError
from vk.fields import FieldTable, Finding
from vk.plugins import Plugins
from vk.pods.daemonsets import POLICIES, REASON

__all__ = ["PodSpec", "findings", "lint", "pod_specs"]

Json = Mapping[str, Any]

# Where each kind keeps the spec of its pods.
_SPECS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(
        ("DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"),
        ("spec", "template", "spec"),
    ),
}
_ADVICE = {
    "refused": "remove it, or keep the pod off this node: affinity type NotIn [virtual-kubelet]",
    "ignored": "nothing, if the pod can do without it",
    "changed": "check that the pod is content with that",
}


@attrs.frozen
class PodSpec:
    """The spec of pods in a manifest: what object it is in, and where."""

    kind: str
    name: str
    place: str
    spec: Json = attrs.field(repr=False)


def lint(
    files: Sequence[str],
    *,
    provider: str,
    plugins: Sequence[Path] = (),
    daemonsets: str,
    as_json: bool,
) -> int:
    """Print what is found; return the exit code. Raises ConfigError for what cannot be read."""
    if daemonsets not in POLICIES:
        raise ConfigError(f"--daemonsets: expected {' or '.join(POLICIES)}, not {daemonsets!r}")
    table = Plugins.load(files=plugins).provider_class(provider).fields
    pods = [pod for path in files for pod in pod_specs(path, _text(path))]
    found = [(pod, list(findings(pod, table, daemonsets))) for pod in pods]
    if as_json:
        click.echo(json.dumps([_entry(pod, several) for pod, several in found], indent=2))
    else:
        for line in _lines(found, provider):
            click.echo(line)
    refused = any(one.verdict == "refused" for _, several in found for one in several)
    return 1 if refused else 0


def findings(pod: PodSpec, table: FieldTable, daemonsets: str) -> Iterator[Finding]:
    """Yield what of the pod is not honoured as it stands; places are those of the manifest."""
    if pod.kind == "DaemonSet" and daemonsets == "refuse":
        text = f"the node keeps pods of DaemonSets Pending ({REASON}), unless --daemonsets=run"
        yield Finding("kind=DaemonSet", "kind", "refused", text)
    for one in table.findings(pod.spec):
        yield attrs.evolve(one, place=pod.place + one.place.removeprefix("spec"))


def pod_specs(path: str, text: str) -> Iterator[PodSpec]:
    """Yield the spec of every pod in a file; what runs no pods is passed over."""
    try:
        documents = parse_documents(text)
    except DocumentError as error:
        raise ConfigError(f"-f: {path}:{error.line}: {error}") from error
    for document in documents:
        if document.value is not None:
            yield from _in_object(path, document.value)


def _in_object(path: str, value: Any) -> Iterator[PodSpec]:
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise ConfigError(f"-f: {path}: expected Kubernetes objects, each with a kind")
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for item in value["items"]:
            yield from _in_object(path, item)
        return
    where = _SPECS.get(value["kind"])
    if where is None:
        return
    metadata, spec = value.get("metadata"), value
    for depth, field in enumerate(where):
        spec = spec.get(field) or {}
        if not isinstance(spec, dict):
            raise ConfigError(f"-f: {path}: {'.'.join(where[: depth + 1])}: expected a mapping")
    named = metadata if isinstance(metadata, dict) else {}
    name = str(named.get("name") or named.get("generateName") or "")
    yield PodSpec(value["kind"], name, ".".join(where), spec)


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"-f: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"-f: {path}: expected UTF-8 text") from error


def _entry(pod: PodSpec, several: Sequence[Finding]) -> dict[str, Any]:
    return {
        "kind": pod.kind,
        "name": pod.name,
        "findings": [
            {
                "path": one.place,
                "verdict": one.verdict,
                "reason": one.why,
                "advice": _ADVICE[one.verdict],
            }
            for one in several
        ],
    }


def _lines(found: Sequence[tuple[PodSpec, Sequence[Finding]]], provider: str) -> Iterator[str]:
    if not found:
        yield "no pods in these files"
    for pod, several in found:
        if not several:
            yield f"{pod.kind} {pod.name}: {provider} honours every field"
            continue
        yield f"{pod.kind} {pod.name}:"
        width = max(len(one.place) for one in several)
        for one in sorted(several, key=lambda one: list(_ADVICE).index(one.verdict)):
            yield f"  {one.verdict:8} {one.place:{width}}  {one.why}; {_ADVICE[one.verdict]}"
