"""The pages that are made of the code: API, command line, settings, errors, contract, and one
how-to page for each example. Imports the code; no cluster is needed.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import click

import vk
from vk import errors
from vk.cli.field_help import field_help
from vk.cli.main import command
from vk.cli.options import OPTIONS
from vk.testing import ProviderContract

__all__ = ["pages"]

ROOT = Path(__file__).parents[2]


@cache
def pages() -> dict[str, str]:
    """Return every generated page by its path below docs/."""
    return {
        "reference/api.md": _api(),
        "reference/cli.md": _cli(),
        "reference/contract.md": _contract(),
        "reference/errors.md": _errors(),
        "reference/settings.md": _settings(),
        "reference/testing.md": _testing(),
        **_examples(),
    }


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in row) + " |\n" for row in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _sentence(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("``", "`")


def _api() -> str:
    parts = [
        "# API\n\nEverything that `import vk` gives. What is not on this page is not public.\n"
    ]
    stub = ast.parse(Path(vk.__file__).with_suffix(".pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.module != "_version":
            parts += [f"::: vk.{node.module}.{alias.name}\n" for alias in node.names]
    return "\n".join(parts)


def _testing() -> str:
    parts = [f"# Testing\n\n{_TESTING}"]
    parts += [f"::: {name}\n" for name in _FIXTURES]
    parts.append("## What they give\n")
    parts += [f"::: {name}\n" for name in _GIVEN]
    return "\n".join(parts)


_TESTING = """\
Fixtures that pytest has wherever vk is installed. Those of an embedded cluster need pytest-asyncio
and the extra `dev`. The rules of all providers: [the contract](contract.md).
"""
_FIXTURES = (
    "vk.testing.fixtures.dev_cluster",
    "vk.testing.fixtures.run_node",
    "vk.testing.fixtures.kubectl",
    "vk.testing.plugin.control_plane",
)
_GIVEN = (
    "vk.testing.nodes.running_node",
    "vk.testing.kubectl.Kubectl",
    "vk.testing.control_plane.ControlPlane",
    "vk.testing.contract.bench.Bench",
)


def _cli() -> str:
    parts = ["# Command line\n\nExit codes: 0 stopped or answered, 1 failed, 2 wrong usage.\n"]
    context = click.Context(command, info_name="vk")
    parts.append(_command("vk", command, context))
    for name, one in sorted(command.commands.items()):
        parts.append(_command(f"vk {name}", one, click.Context(one, info_name=name)))
    return "\n".join(parts)


def _command(name: str, one: click.Command, context: click.Context) -> str:
    arguments = [parameter.name or "" for parameter in one.params if parameter.name == "name"]
    usage = " ".join([name, *(text.upper() for text in arguments)])
    rows = [
        (f"`{'`, `'.join(parameter.opts + parameter.secondary_opts)}`", parameter.help or "")
        for parameter in one.get_params(context)
        if isinstance(parameter, click.Option)
    ]
    return f"## {usage}\n\n{_sentence(one.help)}\n\n{_table(('option', 'what it does'), rows)}"


def _settings() -> str:
    fields = {field.name: field for field in attrs.fields(vk.Settings)}
    rows = [
        (
            f"`--{option.flag}`" if option.flag else "",
            f"`{option.variable}`" if option.variable else "",
            option.help,
            _default(fields.get(option.field)),
        )
        for option in OPTIONS
    ]
    others = [
        ("`VK_PLUGINS`", "The only plugins to load: entry-point names, with commas."),
        ("`VK_PLUGINS_BLOCKED`", "Plugins not to load."),
        ("`POD_UID`", "Names this replica as holder of the node's lease."),
    ]
    return f"""\
# Settings and environment

A flag comes before its variable, that before the file of `--config`, which has the flags' names
without dashes as keys, and that before the default. An empty variable counts as unset. A provider's
own settings come with `--provider-config`, `--set`, and the variables that `vk providers NAME`
lists.

{_table(("flag", "variable", "what it says", "default"), rows)}
{_table(("variable", "what it says"), others)}

## Fields of vk.Settings

For programs that build a node themselves, with `vk.run` or `vk.VirtualKubelet`.

{_table(("field", "what it is", "default"), _settings_fields())}"""


def _settings_fields() -> list[tuple[str, ...]]:
    help_of = field_help(vk.Settings)
    return [
        (f"`{field.name}`", _sentence(help_of[field.name]), _default(field))
        for field in attrs.fields(vk.Settings)
    ]


def _default(field: Any) -> str:
    if field is None or field.default in (attrs.NOTHING, None, "") or not field.init:
        return ""
    if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type] # a class, typed as a function
        return ""
    return f"`{field.default}`"


def _errors() -> str:
    tree = (errors.__doc__ or "").split("\n\n")[1]
    parts = [f"# Errors\n\n```text\n{tree}\n```\n\n{_MEANING}"]
    for name in errors.__all__:
        parts.append(f"## {name}\n\n{_sentence(getattr(errors, name).__doc__)}\n")
    return "\n".join(parts)


_MEANING = """\
What follows when provider code raises one:

| raised | create, update | delete | HTTP |
|---|---|---|---|
| NotFoundError | tried again | done | 400 |
| UnsupportedError | create: pod Failed; update: status kept, one event | again slowly | 501 |
| TemporaryError | tried again after its hint or a growing wait | the same | 500 |
| PermanentError | create: pod Failed, with its reason; update: status kept | again slowly | 500 |
| InvalidInputError | as PermanentError | again slowly | 400 |
| anything else, a time-out | outcome unknown: looked up, then tried again | the same | 500 |
"""


def _contract() -> str:
    parts = [f"# The contract\n\n{_CONTRACT}"]
    for _, promise in _rules():
        parts.append(promise)
    return "\n".join(parts)


def _rules() -> Iterator[tuple[str, str]]:
    for suite in ProviderContract.__mro__[1:]:
        for name, test in vars(suite).items():
            if name.startswith("test_"):
                title = name.removeprefix("test_").replace("_", " ")
                yield name, f"## {title}\n\n{_sentence(test.__doc__)}\n"


_CONTRACT = """\
What every provider keeps, one rule a test of `vk.testing.ProviderContract`. A test that fails names
its rule, says what it saw, and leads here. How to use it: [05 Testing](../how-to/05-testing.md).

What a suite says of its provider:

| name | default | what it says |
|---|---|---|
| `provider_class` | | the class |
| `provider_config` | fixture, None | the configuration; the same opens the same backend again |
| `patience` | 30 | seconds in which the backend starts or ends a pod |
| `runs_scripts` | True | containers run their commands; False for a simulator |
| `pods_end` | True | pods can end by themselves |
| `many` | 100 | pods that are created at once |
| `pod(script)` | a container that runs `sh -c script` | how the backend is told to run a script |
| `output(bench, pod)` | the pod's log | how what a container wrote is seen |
| `outage(bench)` | None | a context in which the backend does not answer |
"""


def _examples() -> dict[str, str]:
    made = {}
    for folder in sorted((ROOT / "examples").glob("[0-9][0-9]-*")):
        text = re.sub(r"\.\./([\w-]+)/README\.md", r"\1.md", (folder / "README.md").read_text())
        for file in sorted(folder.glob("*.py")):
            text += f"\n## {file.name}\n\n```python\n{file.read_text()}```\n"
        made[f"how-to/{folder.name}.md"] = text
    return made
