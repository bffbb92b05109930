"""What a client finds of the files that the mock keeps: by ``cat`` and ``ls``, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mock_world import Client, build

import vk
from vk.models.pod import Resolution
from vk_providers.mock.provider import MockProvider

TREE = {"colour": vk.File(b"green\n"), "deep/shape": vk.File(b"round\n")}
MOUNTS = [
    {"name": "settings", "mountPath": "/etc/app"},
    {"name": "settings", "mountPath": "/one", "subPath": "colour"},
    {"name": "settings", "mountPath": "/by/env", "subPathExpr": "$(WHERE)"},
    {"name": "disk", "mountPath": "/disk"},
]


def filled() -> vk.Pod:
    """A pod with a volume of files, as the core resolved it."""
    raw: dict[str, Any] = {
        "metadata": {"namespace": "default", "name": "p", "uid": "u"},
        "spec": {"containers": [{"name": "c", "volumeMounts": MOUNTS}]},
    }
    (container,) = vk.Pod(raw).containers
    container = vk.Container(name="c", env={"WHERE": "deep"}, raw=container.raw)
    return vk.Pod(raw, resolution=Resolution(containers=(container,), files={"settings": TREE}))


async def said(provider: MockProvider, *command: str) -> tuple[str, str, int]:
    """What a command prints, without the mock's own line, and its exit code."""
    client = Client()
    code = await provider.exec(vk.ContainerKey(filled().key, "c"), command, client)
    intro, _, complaints = client.err.decode().partition("\n")
    assert intro.startswith("simulated: ")
    return client.out.decode(), complaints, code


@pytest.mark.parametrize(
    ("command", "out", "err", "code"),
    [
        (["cat", "/etc/app/colour", "/etc/app/deep/shape"], "green\nround\n", "", 0),
        (["sh", "-c", "cat /one"], "green\n", "", 0),
        (["cat", "/by/env/shape"], "round\n", "", 0),
        (["ls", "-la", "/etc/app"], "colour\ndeep\n", "", 0),
        (["ls", "/etc/app/deep", "/one"], "shape\n/one\n", "", 0),
        (["cat", "/etc/app/no"], "", "cat: /etc/app/no: No such file or directory\n", 1),
        (["cat", "/etc/app/deep"], "", "cat: /etc/app/deep: No such file or directory\n", 1),
        (
            ["ls", "/etc/app/no"],
            "",
            "ls: cannot access '/etc/app/no': No such file or directory\n",
            2,
        ),
        (["cat", "/etc/passwd"], "", "", 0),
        (["cat", "/etc/app/../passwd"], "", "", 0),
        (["ls", "/disk"], "", "", 0),
        (["cat"], "", "", 0),
    ],
)
async def test_cat_and_ls_show_what_a_container_would_find(
    command: Sequence[str], out: str, err: str, code: int
) -> None:
    async with build() as provider:
        await provider.create_pod(filled())
        assert await said(provider, *command) == (out, err, code)


async def test_changed_files_replace_the_old_ones() -> None:
    async with build() as provider:
        await provider.create_pod(filled())
        await provider.update_files(filled().key, "settings", {"size": vk.File(b"9\n")})
        assert await said(provider, "ls", "/etc/app") == ("size\n", "", 0)


async def test_files_of_a_pod_that_is_not_there_are_not_kept() -> None:
    async with build() as provider:
        with pytest.raises(vk.NotFoundError):
            await provider.update_files(filled().key, "settings", TREE)


async def test_after_a_restart_the_files_are_what_the_core_gives_again(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    async with build(state=state) as provider:
        await provider.create_pod(filled())
    async with build(state=state, pods={"u": filled()}) as provider:
        await provider.update_files(filled().key, "settings", TREE)
        assert await said(provider, "cat", "/etc/app/colour") == ("green\n", "", 0)
