"""`vk providers [NAME]`: the installed providers, or the configuration of one of them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click

from vk.cli.field_help import field_help
from vk.cli.provider_config import type_name
from vk.cli.supported_fields import page
from vk.plugins import Plugins

__all__ = ["describe", "show", "show_fields"]


def show(files: Sequence[Path]) -> None:
    """Print name and origin of every provider; broken plugins go to standard error."""
    plugins = Plugins.load(files=files)
    for registered in sorted(plugins.providers.values(), key=lambda item: item.name):
        origin = registered.distribution or registered.origin.plugin
        click.echo(f"{registered.name}\t{origin}")
    for error in plugins.broken:
        click.echo("broken: " + " ".join(str(error).split()), err=True)


def describe(name: str, files: Sequence[Path]) -> None:
    """Print the configuration of provider ``name``, each setting with its help.

    Raises ConfigError where there is no such provider.
    """
    config_class = Plugins.load(files=files).provider_class(name).config_class
    if config_class is None:
        click.echo(f"{name} takes no configuration")
        return
    rows = [("KEY", "TYPE", "DEFAULT", "VARIABLE"), *_rows(config_class)]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    texts = field_help(config_class)
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)]
        click.echo("  ".join(cells).rstrip())
        if row[0] in texts:
            click.echo(textwrap.indent(textwrap.fill(texts[row[0]].replace("``", "`"), 92), "    "))


def show_fields(name: str | None, files: Sequence[Path]) -> None:
    """Print what becomes of each field with provider ``name``, or with every one."""
    plugins = Plugins.load(files=files)
    names = [name] if name is not None else list(plugins.providers)
    tables = {each: plugins.provider_class(each).fields for each in names}
    click.echo(page(tables), nl=False)


def _rows(config_class: type[Any]) -> Iterator[tuple[str, str, str, str]]:
    for field in attrs.fields(attrs.resolve_types(config_class)):
        if field.init:
            key = field.name
            variable = str(field.metadata.get("env", ""))
            yield key, type_name(field.type), _default(field.default), variable


def _default(default: Any) -> str:
    if default is attrs.NOTHING:
        return "(required)"
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type] # a class, typed as a function
        return "(computed)" if default.takes_self else repr(default.factory())
    return str(default) if isinstance(default, str) and default else repr(default)
