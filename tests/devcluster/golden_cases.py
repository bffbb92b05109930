"""The golden pairs of this folder: what kube-apiserver 1.36 did with an object.

``create.json``: an object and what was stored (``changes`` to it as a merge patch, or ``stored`` as
a whole), or the ``causes`` of a 422, or the ``wrong_type`` of a 400. ``update.json``: the same for
a ``patch`` to a stored object, through a ``subresource``. ``table.json``: objects and the rows that
kubectl was given, at a known time. ``discovery.json``: the kinds. What the server hands out (uid,
addresses, node ports, the user) has been taken out; of causes that came twice one is kept, and of
those with a difference the first line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vk.devcluster.kinds import Kind, kind_of
from vk.devcluster.patch.patch import merge_patch
from vk.devcluster.validation import Cause

_FOLDER = Path(__file__).parent / "golden"


def golden(name: str) -> list[dict[str, Any]]:
    """Return the pairs of one file."""
    pairs: list[dict[str, Any]] = json.loads((_FOLDER / f"{name}.json").read_text())
    return pairs


def parameters(name: str, outcome: str) -> list[Any]:
    """Return the pairs of a file that ended so, as parameters of a test."""
    wanted = {"accepted": {"changes", "stored"}}.get(outcome, {outcome})
    return [pytest.param(case, id=case["case"]) for case in golden(name) if wanted & case.keys()]


def kind(obj: dict[str, Any]) -> Kind:
    """Return the kind that the object says it is."""
    found = kind_of(obj["apiVersion"], obj["kind"])
    assert found is not None
    return found


def expected(case: dict[str, Any], base: dict[str, Any]) -> Any:
    """Return what was stored; ``base`` is what the case's changes are changes to."""
    return case["stored"] if "stored" in case else merge_patch(base, case["changes"])


def comparable(causes: list[Cause]) -> list[list[str]]:
    """Return causes as the files have them; Go's maps come in any order, so they are sorted."""
    return sorted([one.reason, one.message.split("\n")[0], one.field] for one in causes)
