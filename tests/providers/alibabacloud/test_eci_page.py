"""The provider's page lists all fields, annotations and error codes."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import attrs
import pytest
import yaml
from doc_blocks import blocks
from test_eci_golden import NAMES, planned, read

from vk.cli.provider_config import load
from vk_providers.alibabacloud import errors
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.create_parameters.annotations import (
    IGNORED,
    PRIVILEGED,
    READ_BY_VK,
    RULES,
)
from vk_providers.alibabacloud.fields import FIELDS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "alibabacloud.md").read_text()
TOOL = ROOT / "tools/eci_page.py"


def row(name: str) -> str:
    (found,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    return found


def test_what_it_shows_of_files_is_taken(tmp_path: Path) -> None:
    """A pod's part is refused by nothing, the others are read as the provider's file."""
    pod, *parts = blocks("docs/alibabacloud.md")
    assert FIELDS.refusals(yaml.safe_load(pod.text)["spec"]) == []
    file = tmp_path / "eci.yaml"
    file.write_text("".join(part.text for part in parts))
    config = load(EciConfig, provider="alibabacloud", file=file, overrides={}, environment={})
    assert [one.name for one in config.profiles] == ["batch"]
    assert set(config.allow) == {"team-a", "*", "batch"}


def test_every_setting_stands_there_with_its_variable() -> None:
    for field in attrs.fields(EciConfig):
        variable = field.metadata.get("env")
        assert (f"`{variable}`" if variable else "file only") in row(field.name)


def test_every_annotation_is_documented_and_privileged_ones_are_marked() -> None:
    for name in RULES:
        assert row(name).endswith("| closed |") == (name in PRIVILEGED)
    for name, why in IGNORED.items():
        assert why in row(name)
    assert all(f"`{name}`" in PAGE for name in READ_BY_VK)


def test_every_code_stands_there_with_its_hint() -> None:
    for code in errors._CODES:
        assert errors._hint(code) in row(code)


@pytest.mark.slow
def test_the_lists_are_written_anew_without_a_difference() -> None:
    command = [sys.executable, TOOL, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_list_says_of_each_parameter_what_the_requests_of_the_golden_files_show() -> None:
    tool = loaded(TOOL)
    requests = [planned(read(name)) for name in NAMES if "request" in read(name)]
    sent = {re.sub(r"\.[0-9]+(?=\.|$)", ".N", name) for request in requests for name in request}
    assert [name for name in sent if tool.rule(name) in tool.NOT_SENT] == []
    unseen = tool.SENT.keys() - {tool.rule(name) for name in sent}
    assert unseen == {"RegionId"}  # the client adds it to every request


def loaded(path: Path) -> ModuleType:
    """Return a program as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
