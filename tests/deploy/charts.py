"""Helm for the tests: what the chart renders, or why it refuses its values."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "examples" / "deploy"
CHART = DEPLOY / "chart"
KUBERNETES = "1.36.0"

Json = dict[str, Any]


def helm_program() -> str:
    """Return the program; skips the test where there is none."""
    found = os.environ.get("HELM") or shutil.which("helm")
    if not found:
        pytest.skip("no helm on the path, and HELM does not name one")
    return found


def helm(*arguments: str, values: Json | None = None, **environment: str) -> str:
    """Run helm and return what it printed; raises CalledProcessError with standard error."""
    given = ("--values=-",) if values is not None else ()
    return subprocess.run(
        [helm_program(), *arguments, *given],
        input=json.dumps(values or {}),
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    ).stdout


def render(values: Json | None = None, *flags: str) -> list[Json]:
    """Return the objects that release ``vk`` consists of, hooks too."""
    where = ("--namespace=kube-system", f"--kube-version={KUBERNETES}")
    text = helm("template", "vk", str(CHART), *where, *flags, values=values or {})
    return [one for one in yaml.safe_load_all(text) if one is not None]


def refusal(values: Json) -> str:
    """Return what helm says of values that the schema refuses."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        render(values)
    return str(caught.value.stderr)


def one(objects: list[Json], kind: str, name: str = "vk") -> Json:
    """Return the object of this kind and name."""
    (found,) = [
        each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name
    ]
    return found
