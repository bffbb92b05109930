"""Read the fidelity cases from ``cases/*.yaml``: requests, and the answers of the API server.

Comes in: a folder of YAML files, one a topic, each a list of cases. Goes out: `Case` values with
their `Step` values, unknown words refused. `runner.py` plays them; README.md explains every word.

Note: a body that is a list and begins with a word is a sum: the named entry of
``templates.yaml``, then mappings laid over it. Any other list is a JSON patch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

__all__ = ["Case", "Step", "lay_over", "load"]

CONTENT_TYPES = {
    "POST": "application/json",
    "PUT": "application/json",
    "DELETE": "application/json",
    "MERGE": "application/merge-patch+json",
    "STRATEGIC": "application/strategic-merge-patch+json",
    "JSON": "application/json-patch+json",
    "APPLY": "application/apply-patch+yaml",
}
VERBS = {*CONTENT_TYPES, "GET", "WATCH", "READ", "PATCH", "COMPACT"}
METADATA = "application/json;as=PartialObjectMetadata{};v=v1;g=meta.k8s.io,application/json"
ACCEPTS = {
    "json": "application/json",
    "table": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "metadata": METADATA.format(""),
    "metadata list": METADATA.format("List"),
}


@attrs.frozen(kw_only=True)
class Step:
    """One request, or the reading of a watch that was opened before, and what must come back."""

    verb: str
    path: str
    body: Any = None
    raw: str | bytes | None = None
    """A body that is sent as it stands."""
    pad: int = 0
    """How many letters ``data.pad`` of the body gets."""
    content_type: str | None = None
    accept: str = ACCEPTS["json"]
    user: str = "admin"
    """``admin``, ``anonymous``, or a bearer token."""
    opens: str | None = None
    """The name under which a watch stays open for READ."""
    code: int | None = None
    headers: Mapping[str, Any] = attrs.field(factory=dict)
    has: Any = None
    names: list[str] | None = None
    text: str | None = None
    events: list[Any] | None = None
    reaches: Any = None
    ends: bool = False
    within: float = 0
    """Seconds for which the request is repeated until its answer is the expected one."""
    keep: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Case:
    """A behaviour, shown by steps in a namespace of their own."""

    topic: str
    number: int
    name: str
    steps: tuple[Step, ...]
    only: str | None = None
    """``embedded`` or ``real``: where alone it is run; the file says why."""
    slow: bool = False
    """It takes over 0.25 s on the embedded server too."""

    @property
    def title(self) -> str:
        """Topic and name, for reports."""
        return f"{self.topic}: {self.name}"

    @property
    def namespace(self) -> str:
        """The namespace of this case; also the name for its cluster-wide objects."""
        return f"{self.topic.replace('_', '-')}-{self.number}"


def load(folder: Path) -> list[Case]:
    """Return all cases below ``folder``; raises ValueError, with the file, on an unknown word."""
    templates = yaml.safe_load((folder / "templates.yaml").read_text())
    cases = []
    for path in sorted((folder / "cases").glob("*.yaml")):
        for number, entry in enumerate(yaml.safe_load(path.read_text()), start=1):
            try:
                cases.append(_case(path.stem, number, entry, templates))
            except (ValueError, TypeError, KeyError) as error:
                raise ValueError(f"{path.name}, case {number}: {error}") from error
    return cases


def lay_over(base: Any, over: Any) -> Any:
    """Return ``base`` with the mapping ``over`` laid over it; null removes, a list replaces."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    kept = {key: value for key, value in base.items() if key not in over}
    laid = {key: lay_over(base.get(key), value) for key, value in over.items() if value is not None}
    return {**kept, **laid}


def _case(topic: str, number: int, entry: dict[str, Any], templates: dict[str, Any]) -> Case:
    unknown = set(entry) - {"case", "steps", "only", "reason", "slow"}
    if unknown:
        raise ValueError(f"unknown words {sorted(unknown)}")
    if "only" in entry and not entry.get("reason"):
        raise ValueError("only needs a reason")
    steps = tuple(_step(step, templates) for step in entry["steps"])
    return Case(
        topic=topic,
        number=number,
        name=entry["case"],
        steps=steps,
        only=entry.get("only"),
        slow=entry.get("slow", False),
    )


def _step(entry: dict[str, Any], templates: dict[str, Any]) -> Step:
    words = dict(entry)
    verb, _, path = words.pop("do").partition(" ")
    if verb not in VERBS:
        raise ValueError(f"unknown verb {verb!r}")
    content_type = words.pop("type", CONTENT_TYPES.get(verb))
    accept = words.pop("accept", "json")
    body = _body(words.pop("body", None), templates)
    return Step(
        verb=verb,
        path=path,
        body=body,
        content_type=content_type,
        accept=ACCEPTS.get(accept, accept),
        user=words.pop("as", "admin"),
        **words,
    )


def _body(body: Any, templates: dict[str, Any]) -> Any:
    if isinstance(body, str):
        return templates[body]
    if isinstance(body, list) and body and isinstance(body[0], str):
        whole = templates[body[0]]
        for part in body[1:]:
            whole = lay_over(whole, part)
        return whole
    return body
