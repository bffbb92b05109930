"""`vk providers --fields`: what each provider does with each field of a PodSpec, as Markdown.

In: FieldTables by provider. Out: the page ``docs/supported-fields.md``, which a test compares with
the tables, so that it cannot grow old. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vk.fields import NOT_THE_BACKENDS, FieldTable

__all__ = ["page"]

_INTRO = """\
# Supported fields

What each provider does with the fields of a PodSpec: the tables that admission and `vk lint` read.
This page is written by `vk providers --fields`.

- *honoured*: as Kubernetes means it. *changed*: in another way, which stands beside it. *ignored*:
  the pod runs as if it were not there. *refused*: the pod fails with reason `UnsupportedField`.
- `[]` stands for every element of a list, `=` for one value. Rules for `spec.containers[]` hold for
  init and ephemeral containers too, unless they have rules of their own. The most specific rule
  counts.

## every provider

What the cluster or vk itself sees to is honoured, unless the provider's own table says otherwise.

| field | who sees to it |
|---|---|
"""


def page(tables: Mapping[str, FieldTable]) -> str:
    """Return the page for several providers, in the order of their names."""
    everywhere = "".join(f"| `{path}` | {how} |\n" for path, how in NOT_THE_BACKENDS.items())
    sections = ("\n".join(_section(name, tables[name])) for name in sorted(tables))
    return "\n".join((_INTRO + everywhere, *sections))


def _section(name: str, table: FieldTable) -> Iterator[str]:
    yield f"## {name}\n"
    yield "| field | what becomes of it | why |"
    yield "|---|---|---|"
    for path, verdict, why in table.rules():
        yield f"| `{path}` | {verdict} | {why.replace('|', '&#124;')} |"
    yield f"| everything else | {table.unlisted} | |\n"
