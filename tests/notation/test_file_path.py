"""Paths of files in a volume: what is taken names something below the volume."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vk.notation.file_path import clean_descending, clean_file_path

PATHS = st.lists(
    st.sampled_from(
        ["a", "b.txt", ".", "..", "...", "..data", ".hidden", "", "x" * 256, "é" * 128]
    ),
    max_size=5,
).map("/".join) | st.text(max_size=20)


@given(PATHS)
def test_a_path_that_is_taken_stays_below_the_volume_and_is_clean(path: str) -> None:
    try:
        cleaned = clean_file_path(path)
    except ValueError:
        return
    parts = PurePosixPath(cleaned).parts
    assert parts
    assert "/".join(parts) == cleaned
    assert not cleaned.startswith(("/", ".."))
    assert not {"..", ".", ""} & set(parts)
    assert clean_file_path(cleaned) == cleaned
    assert clean_descending(path) == cleaned


@given(PATHS)
def test_a_clean_path_below_the_volume_is_taken(path: str) -> None:
    parts = path.split("/")
    plain = all(part and part not in (".", "..") and "\0" not in part for part in parts)
    short = all(len(part.encode(errors="surrogatepass")) <= 255 for part in parts)
    if plain and short:
        assert clean_descending(path) == path


@pytest.mark.parametrize("path", ["", ".", "./", "./."])
def test_a_sub_path_may_be_all_of_the_volume_but_a_file_may_not(path: str) -> None:
    assert clean_descending(path) == ""
    with pytest.raises(ValueError, match="must name a file"):
        clean_file_path(path)


def test_a_sub_path_may_be_a_name_of_the_layout() -> None:
    assert clean_descending("..data/x") == "..data/x"
