"""The image mapping of a container, and its command line. Pure.

Of several matching patterns the most specific one is used: no wildcard before wildcards, then the
one with more characters. Commands follow the kubelet's rules: ``command`` replaces the image's
entrypoint *and* its command, ``args`` replaces its command only.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

import vk
from vk_providers.process.config import Image

__all__ = ["command_line", "find_image"]


def find_image(images: Mapping[str, Image], name: str) -> Image | None:
    """Return the mapping of ``name``, None where there is none."""
    names = {name, _without_tag(name)}
    fitting = [
        pattern for pattern in images if any(fnmatchcase(each, _literal(pattern)) for each in names)
    ]
    best = max(fitting, key=_exactness, default=None)
    return None if best is None else images[best]


def command_line(container: vk.Container, image: Image | None) -> tuple[str, ...]:
    """Return the command line; raises InvalidInputError where there is none."""
    if container.command:
        return container.command + container.args
    if image is None:
        raise vk.InvalidInputError(
            f"container {container.name!r} has no command, and image {container.image!r} is not "
            "mapped on this node: set the container's command, or add the image to "
            "'images' in the provider's configuration",
            reason="ImageNotMapped",
        )
    line = image.entrypoint + (container.args or image.command)
    if not line:
        raise vk.InvalidInputError(
            f"container {container.name!r} has no command, and the mapping of image "
            f"{container.image!r} has neither entrypoint nor command",
            reason="ImageNotMapped",
        )
    return line


def _literal(pattern: str) -> str:
    """Keep ``*`` as the only wildcard."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _exactness(pattern: str) -> tuple[bool, int, str]:
    return ("*" not in pattern, len(pattern.replace("*", "")), pattern)


def _without_tag(name: str) -> str:
    name = name.partition("@")[0]
    path, slash, last = name.rpartition("/")
    return path + slash + last.partition(":")[0]
