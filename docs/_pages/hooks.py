"""Hooks of mkdocs: adds the pages that are made of the code, and puts all pages in order.

A page that lies in docs/ needs no entry anywhere: its folder says where it stands.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from generated import pages

DOCS = Path(__file__).parents[1]
FIRST = ("index.md", "tutorial.md")
FOLDERS = {"How to": "how-to", "Reference": "reference", "Explanation": "explanation"}


def on_config(config: Any) -> Any:
    """Give the order: the beginning, then by folder; what lies beside them is for operators."""
    found = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} | set(pages())
    sections = {
        title: sorted(path for path in found if path.startswith(f"{folder}/"))
        for title, folder in FOLDERS.items()
    }
    rest = sorted(path for path in found if "/" not in path and path not in FIRST)
    rest += sorted(path for path in found if path.startswith("operations/"))
    config["nav"] = [
        *FIRST,
        {"How to": sections.pop("How to")},
        {"Operate": rest},
        *({title: paths} for title, paths in sections.items()),
    ]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for path, content in pages().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links to the source, which the site does not hold, into their text."""
    return re.sub(r"\[([^\]]+)\]\(\.\./\.\./vk/[^)]+\)", r"\1", markdown)
