"""The page about the provider says all of it: fields, annotations, codes."""

from __future__ import annotations

from pathlib import Path

import attrs

from vk_providers.alibabacloud import errors
from vk_providers.alibabacloud.annotations import BEHAVIOUR, IGNORED, POWERFUL, RULES
from vk_providers.alibabacloud.config import EciConfig

PAGE = (Path(__file__).parents[3] / "docs" / "alibabacloud.md").read_text()


def row(name: str) -> str:
    (found,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    return found


def test_every_setting_stands_there_with_its_variable() -> None:
    for field in attrs.fields(EciConfig):
        variable = field.metadata.get("env")
        assert (f"`{variable}`" if variable else "file only") in row(field.name)


def test_every_annotation_stands_there_and_the_closed_ones_say_so() -> None:
    for name in RULES:
        assert row(name).endswith("| closed |") == (name in POWERFUL)
    for name, why in IGNORED.items():
        assert why in row(name)
    assert all(f"`{name}`" in PAGE for name in BEHAVIOUR)


def test_every_code_stands_there_with_its_hint() -> None:
    for code in errors._CODES:
        assert errors._hint(code) in row(code)
