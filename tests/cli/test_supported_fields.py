"""The page of supported fields is what the providers' tables say."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from vk.cli.main import command
from vk.cli.supported_fields import page
from vk.fields import FieldTable
from vk.plugins import Plugins

PAGE = Path(__file__).parents[2] / "docs" / "supported-fields.md"


def test_the_page_is_up_to_date() -> None:
    """Else: ``vk providers --fields > docs/supported-fields.md``."""
    plugins = Plugins.load()
    ours = {
        name: plugins.provider_class(name).fields
        for name, registered in plugins.providers.items()
        if registered.distribution == plugins.providers["mock"].distribution
    }
    assert {"mock", "process"} <= set(ours)
    assert PAGE.read_text(encoding="utf-8") == page(ours)


def test_every_rule_and_the_rest_stand_in_the_table() -> None:
    table = FieldTable(
        honoured=("spec.hostname",), refused={"spec.hostPID": "a | b"}, unlisted="refused"
    )
    text = page({"one": table})
    assert "| `spec.hostname` | honoured |  |" in text
    assert "| `spec.hostPID` | refused | a &#124; b |" in text
    assert "| everything else | refused | |" in text


def test_the_command_prints_one_provider_or_all() -> None:
    whole = CliRunner().invoke(command, ["providers", "--fields"]).output
    one = CliRunner().invoke(command, ["providers", "mock", "--fields"]).output
    assert "## mock" in one and "## process" not in one
    assert "## mock" in whole and "## process" in whole
