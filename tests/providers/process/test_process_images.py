"""The mapping of image names, and the command line of a container."""

from __future__ import annotations

import pytest

import vk
from vk_providers.process.config import Image
from vk_providers.process.images import command_line, find_image

IMAGES = {
    name: Image(working_dir=name)
    for name in (
        *("nginx", "nginx:1.27", "nginx:*", "registry.example:5000/*", "*/app", "*/team/app"),
        *("a[b]?", "registry.example:5000/team/*"),
    )
}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx:1.27"),
        ("nginx:1.28", "nginx"),
        ("nginx@sha256:00ff", "nginx"),
        ("registry.example:5000/tool", "registry.example:5000/*"),
        ("registry.example:5000/team/tool:2", "registry.example:5000/team/*"),
        ("docker.io/app:latest", "*/app"),
        ("docker.io/team/app", "*/team/app"),
        ("a[b]?", "a[b]?"),
        ("ab", None),
        ("nginx2", None),
        ("registry.example/tool", None),
        ("", None),
    ],
)
def test_the_most_exact_pattern_counts(name: str, expected: str | None) -> None:
    """No wildcard before wildcards, then the longer one; a name without a tag is for all tags."""
    found = find_image(IMAGES, name)
    assert (found.working_dir if found else None) == expected


IMAGE = Image(entrypoint=("entry", "-e"), command=("serve",))


@pytest.mark.parametrize(
    ("command", "args", "image", "expected"),
    [
        ((), (), IMAGE, ("entry", "-e", "serve")),
        ((), ("x",), IMAGE, ("entry", "-e", "x")),
        (("own",), (), IMAGE, ("own",)),
        (("own",), ("x",), IMAGE, ("own", "x")),
        (("own",), ("x",), None, ("own", "x")),
        ((), ("x",), Image(), ("x",)),
    ],
)
def test_command_and_args_are_the_kubelets(
    command: tuple[str, ...], args: tuple[str, ...], image: Image | None, expected: tuple[str, ...]
) -> None:
    """A command replaces both of the image's, args its command alone."""
    assert command_line(_container(command, args), image) == expected


@pytest.mark.parametrize(("image", "text"), [(None, "'images'"), (Image(), "neither entrypoint")])
def test_a_container_without_any_command_is_refused(image: Image | None, text: str) -> None:
    with pytest.raises(vk.InvalidInputError, match=text) as caught:
        command_line(_container((), ()), image)
    assert caught.value.reason == "ImageNotMapped"


def _container(command: tuple[str, ...], args: tuple[str, ...]) -> vk.Container:
    container = {"name": "c", "image": "i", "command": list(command), "args": list(args)}
    metadata = {"namespace": "default", "name": "p", "uid": "u"}
    return vk.Pod({"metadata": metadata, "spec": {"containers": [container]}}).containers[0]
