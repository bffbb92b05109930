"""`vk new-provider NAME`: a package to start from, written to a new folder.

In: the provider's name. Out: a copy of the folder `vk/template`, which is a package that works,
with its own name in place of ``sample``. Names that begin with a dot have none in the template.
"""

from __future__ import annotations

import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from vk.errors import ConfigError
from vk.plugins import Plugins

__all__ = ["new_provider"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)
_LONGEST = 40
_HIDDEN = {"github", "gitignore"}
_NEXT = """\
{folder}/ is written. Next:

  cd {folder}
  pip install -e '.[test]'
  pytest
  vk dev --provider {name}
"""


def new_provider(name: str) -> None:
    """Write the package into the current folder. Raises ConfigError, and then writes nothing."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        expected = f"lower-case letters, digits and single dashes, {_LONGEST} at most"
        raise ConfigError(f"NAME: expected {expected}, not {name[:80]!r}")
    taken = Plugins.load().providers.get(name)
    if taken is not None:
        raise ConfigError(f"NAME: there is a provider {name!r} already, of {taken.origin}")
    folder = Path(f"vk-{name}")
    try:
        folder.mkdir()
        _write(files("vk") / "template", folder, name)
    except FileExistsError as error:
        raise ConfigError(f"{error.filename} is there already: nothing is overwritten") from error
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be written: {error.strerror}") from error
    click.echo(_NEXT.format(folder=folder, name=name), nl=False)


def _write(template: Traversable, folder: Path, name: str) -> None:
    for entry in template.iterdir():
        if entry.name == "__pycache__":
            continue
        path = folder / (("." if entry.name in _HIDDEN else "") + _named(entry.name, name))
        if entry.is_dir():
            path.mkdir()
            _write(entry, path, name)
        else:
            with path.open("x", encoding="utf-8") as file:
                file.write(_named(entry.read_text("utf-8"), name))


def _named(text: str, name: str) -> str:
    module = name.replace("-", "_")
    title = "".join(part.capitalize() for part in name.split("-"))
    return (
        text.replace("vk_sample", f"vk_{module}").replace("Sample", title).replace("sample", name)
    )
