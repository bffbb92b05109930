"""Fixtures of the process provider's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from process_world import state_folder


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder."""
    with state_folder() as folder:
        yield folder
