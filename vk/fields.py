"""FieldTable: which fields of a PodSpec a backend honours, ignores and refuses, and why.

One table a provider drives admission and documentation. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["FieldTable", "Refusal"]
