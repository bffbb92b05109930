"""The strategy of a kind: what differs from kind to kind on create and update. Pure.

The steps in the order in which the rules take them. ``default`` and ``prepare`` change the object
that they are given, a fresh copy; the checks change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from vk.devcluster.validation.causes import Cause
from vk.devcluster.validation.names import subdomain_faults

__all__ = ["Strategy"]


def _nothing(obj: dict[str, Any]) -> None:
    """Do nothing: the kind has no such step."""


def _no_preparation(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    """Keep nothing: an update may change everything."""


def _no_faults(obj: dict[str, Any]) -> list[Cause]:
    return []


def _no_update_faults(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    return []


@attrs.frozen(kw_only=True)
class Strategy:
    """The steps of one kind; by default it is stored as it came."""

    default: Callable[[dict[str, Any]], None] = _nothing
    """Fill in what its author left out; on create and on update."""
    prepare_create: Callable[[dict[str, Any]], None] = _nothing
    """Admission, and the fields that a creator may not set."""
    prepare_update: Callable[[dict[str, Any], dict[str, Any], str], None] = _no_preparation
    """Copy the parts of ``old`` to ``new`` that this (sub)resource may not change."""
    check: Callable[[dict[str, Any]], list[Cause]] = _no_faults
    check_create: Callable[[dict[str, Any]], list[Cause]] = _no_faults
    """Return what is wrong with a new object alone, beyond ``check``."""
    check_update: Callable[[dict[str, Any], dict[str, Any], str], list[Cause]] = _no_update_faults
    """Return what is wrong with the change alone; ``check`` has seen the new object."""
    name_faults: Callable[[str], list[str]] = subdomain_faults
    generation: Callable[[dict[str, Any]], object] | None = None
    """The part whose change raises metadata.generation; None where the kind has none."""
