"""The operators' pages name what there is: tests, settings, reasons, links."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from doc_blocks import block

from vk.cli.main import command
from vk.cli.options import OPTIONS
from vk.settings import LIVE
from vk.testing.kubectl import Kubectl

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs/operations").glob("*.md"))
SOURCE = "\n".join(path.read_text() for path in sorted((ROOT / "vk").rglob("*.py")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"(?:examples|tests)/[\w/.-]+\w", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_flags_are_flags(page: Path) -> None:
    known = {f"--{option.flag}" for option in OPTIONS if option.flag}
    known |= {"--config"} | {
        name
        for each in command.commands.values()
        for parameter in each.params
        for name in parameter.opts
    }
    for flag in re.findall(r"`(--[a-z-]+)", page.read_text()):
        others = ("--kubelet-certificate-authority", "--kubelet-insecure-tls")
        others += ("--pod-running-timeout",)
        assert flag in known or flag in others, flag


def test_each_row_of_what_happens_when_names_a_test_that_exists() -> None:
    lines = (ROOT / "docs/operations/what-happens-when.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| what |")]
    assert len(rows) > 15
    for row in rows:
        named = re.search(r"\| `(tests/[\w/]+\.py)::(test_\w+)` \|$", row)
        assert named, row
        path, name = named.groups()
        tree = ast.parse((ROOT / path).read_text())
        names = {
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in names, row


def test_reasons_and_conditions_are_the_source_s() -> None:
    text = (ROOT / "docs/operations/troubleshooting.md").read_text()
    named = re.findall(r"^\| `([A-Z][A-Za-z]+)(?:=\w+)?` ", text, re.M)
    assert len(named) > 10
    for reason in named:
        parts = re.fullmatch(r"Provider(Create|Delete)Failed", reason)
        assert parts or f'"{reason}"' in SOURCE, reason


@pytest.mark.slow
async def test_a_namespace_is_opened_by_one_command(kubectl: Kubectl) -> None:
    await kubectl("create", "namespace", "team")
    (typed,) = block("docs/operations/permissions.md", "$ kubectl apply").commands(NAMESPACE="team")
    *words, file = typed.split()[1:]
    await kubectl(*words, str(ROOT / file))
    (binding,) = (await kubectl.get("rolebindings", "--namespace=team"))["items"]
    assert binding["roleRef"]["name"] == "vk-references"


def test_the_live_settings_are_documented() -> None:
    text = (ROOT / "docs/operations/configuration.md").read_text()
    flags = {option.flag for option in OPTIONS if option.field in LIVE}
    for flag in flags | {"taint", "disable-taint"}:
        assert f"`{flag}`" in text, flag
