"""A volume on a disk: readers see all of the old files or all of the new ones."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vk

NAMES = st.sampled_from(["a", "b", "c.txt", ".hidden"])
TREES = st.dictionaries(
    st.tuples(NAMES, NAMES).map(lambda parts: f"{parts[0]}-folder/{parts[1]}") | NAMES,
    st.builds(vk.File, st.binary(max_size=8), mode=st.sampled_from([0o644, 0o400, 0o755])),
    max_size=5,
)


def seen(folder: Path) -> dict[str, vk.File]:
    """What a reader finds below the folder, by the names that it is meant to use."""
    found = {}
    for top in sorted(folder.iterdir()):
        if top.name.startswith(".."):
            continue
        inside = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
        for path in inside:
            mode = path.stat().st_mode & 0o7777
            found[str(path.relative_to(folder))] = vk.File(path.read_bytes(), mode=mode)
    return found


@given(st.lists(TREES, min_size=1, max_size=3))
def test_the_folder_holds_what_was_written_last_and_nothing_of_before(
    tmp_path_factory: pytest.TempPathFactory, trees: list[dict[str, vk.File]]
) -> None:
    folder = tmp_path_factory.mktemp("volume") / "v"
    for tree in trees:
        vk.write_files(folder, tree)
        assert seen(folder) == tree
    hidden = [path.name for path in folder.iterdir() if path.name.startswith("..")]
    assert len(hidden) == 2  # ..data, and the folder that it names
    assert not vk.write_files(folder, trees[-1])


def test_the_layout_is_the_kubelets(tmp_path: Path) -> None:
    vk.write_files(tmp_path, {"a": vk.File(b"1"), "b/c": vk.File(b"2")})
    current = os.readlink(tmp_path / "..data")
    assert current.startswith("..2")
    assert os.readlink(tmp_path / "a") == "..data/a"
    assert os.readlink(tmp_path / "b") == "..data/b"
    assert (tmp_path / current / "b" / "c").read_bytes() == b"2"


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    assert vk.write_files(tmp_path, {"a": vk.File(b"1")})
    before = os.readlink(tmp_path / "..data")
    assert not vk.write_files(tmp_path, {"a": vk.File(b"1")})
    assert os.readlink(tmp_path / "..data") == before
    assert vk.write_files(tmp_path, {"a": vk.File(b"1", mode=0o600)})


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        vk.write_files(tmp_path / "v", {"b/c": vk.File(b"2", mode=0o644)})
    finally:
        os.umask(before)
    assert (tmp_path / "v/b/c").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "v/b").stat().st_mode & 0o777 == 0o755


def test_what_a_broken_off_update_left_is_cleared_away(tmp_path: Path) -> None:
    vk.write_files(tmp_path, {"a": vk.File(b"1")})
    (tmp_path / "..2020_01_01_00_00_00.x").mkdir()
    (tmp_path / "..2020_01_01_00_00_00.x" / "half").write_text("")
    (tmp_path / "..data_tmp").symlink_to("..2020_01_01_00_00_00.x")
    vk.write_files(tmp_path, {"a": vk.File(b"2")})
    assert seen(tmp_path) == {"a": vk.File(b"2")}
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_belongs_to_whom_the_tree_says(tmp_path: Path) -> None:
    vk.write_files(tmp_path, {"a": vk.File(b"1", mode=0o440, uid=1234, gid=2345)})
    known = (tmp_path / "a").stat()
    assert (known.st_uid, known.st_gid, known.st_mode & 0o777) == (1234, 2345, 0o440)


@pytest.mark.slow
def test_a_reader_never_sees_old_and_new_together(tmp_path: Path) -> None:
    def tree(number: int) -> dict[str, vk.File]:
        return {name: vk.File(str(number).encode()) for name in "ab"}

    vk.write_files(tmp_path, tree(0))
    done = threading.Event()
    mixed: list[tuple[bytes, bytes]] = []

    def read() -> None:
        while not done.is_set():
            try:  # one moment's view: the folder behind ..data is removed only after the next
                held = os.open(tmp_path / "..data", os.O_RDONLY | os.O_DIRECTORY)
                found = [_read_at(held, name) for name in "ab"]
                os.close(held)
            except FileNotFoundError:
                continue
            if found[0] != found[1]:
                mixed.append((found[0], found[1]))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 300):
        vk.write_files(tmp_path, tree(number))
    done.set()
    reader.join()
    assert mixed == []


def _read_at(folder: int, name: str) -> bytes:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder), "rb") as file:
        return file.read()


def test_what_somebody_else_made_in_the_folder_stays(tmp_path: Path) -> None:
    """Such as the place of another mount; a file of that name cannot be seen there anyway."""
    (tmp_path / "cache").mkdir()
    vk.write_files(tmp_path, {"a": vk.File(b"1")})
    vk.write_files(tmp_path, {"a": vk.File(b"2"), "cache": vk.File(b"3")})
    assert (tmp_path / "a").read_bytes() == b"2"
    assert (tmp_path / "cache").is_dir()
