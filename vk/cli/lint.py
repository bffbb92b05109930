"""`vk lint`: what a provider would refuse, ignore or change of the pods in manifests.

In: files and the name of a provider. Out: a table or JSON, and exit code 1 where a pod would be
refused, 2 where a file cannot be read. It reads the provider's FieldTable, as admission does, so
both always agree; no cluster is asked, and no provider is opened.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from vk.cli.pod_specs import PodSpec, pod_specs, unreadable
from vk.errors import ConfigError
from vk.fields import FieldTable, Finding
from vk.plugins import Plugins
from vk.pods.daemonsets import POLICIES, REASON

__all__ = ["findings", "lint"]

# What a StatefulSet makes of each of its volumeClaimTemplates in its pods.
_CLAIMED = {"volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": "claim"}}]}
_ADVICE = {
    "refused": "remove it, or keep the pod off this node: affinity type NotIn [virtual-kubelet]",
    "ignored": "nothing, if the pod can do without it",
    "changed": "check that the pod is content with that",
}


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
    for index in range(pod.claims):
        for one in table.findings(_CLAIMED):
            yield attrs.evolve(one, place=f"spec.volumeClaimTemplates[{index}]")


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise unreadable(path, "expected UTF-8 text") from error


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
        named = f"{pod.kind} {pod.name}".strip()
        if not several:
            yield f"{named}: {provider} honours every field"
            continue
        yield f"{named}:"
        width = max(len(one.place) for one in several)
        for one in sorted(several, key=lambda one: list(_ADVICE).index(one.verdict)):
            yield f"  {one.verdict:8} {one.place:{width}}  {one.why}; {_ADVICE[one.verdict]}"
