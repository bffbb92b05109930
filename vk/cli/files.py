"""Reading a file of settings: TOML, YAML or JSON by its suffix, else by its content.

In comes a path and the name of the setting that gave it; out goes a mapping. Everything that can be
wrong with the file is a ConfigError of one line with file and, where there is one, the line.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vk.errors import ConfigError

__all__ = ["read_mapping"]

_FORMS = {".toml": "TOML", ".yaml": "YAML", ".yml": "YAML", ".json": "JSON"}


def read_mapping(path: Path, *, setting: str) -> Mapping[str, Any]:
    """Return the content of ``path``; an empty file is an empty mapping."""
    content = _read(path, setting)
    form = _FORMS.get(path.suffix.lower()) or _sniff(content)
    try:
        data = _parse(content, form)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{setting}: {path}: not {form}: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ConfigError(f"{setting}: {path}: expected a mapping of names to values at the top")
    return data


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{setting}: {path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{setting}: {path}: expected UTF-8 text") from error


def _sniff(content: str) -> str:
    """Name the form of a file without a telling suffix, such as a mounted config map's key."""
    if content.lstrip().startswith("{"):
        return "JSON"
    try:
        tomllib.loads(content)
    except ValueError:
        return "YAML"
    return "TOML"


def _parse(content: str, form: str) -> Any:
    if form == "JSON":
        return json.loads(content) if content.strip() else None
    if form == "TOML":
        return tomllib.loads(content)
    return _parse_yaml(content)


def _parse_yaml(content: str) -> Any:
    import yaml  # only where a file is YAML: --help stays fast

    try:
        return yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{getattr(error, 'problem', None) or error}") from error
