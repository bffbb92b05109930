"""Objects of any kind whose fields mostly have the right types: they reach deep into the rules."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vk.devcluster.kinds import KINDS, Kind
from vk.devcluster.validation.types import Shape, struct_of

STORED = [kind for kind in KINDS if kind.stored]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "1", "-5", "500m", "1Gi", "A_b", "2026-01-01T00:00:00Z", "Exists"]),
    st.text(max_size=5),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@st.composite
def shaped(draw: st.DrawFn, shape: Shape, depth: int) -> Any:
    """Draw a value that is mostly of the type, so that drawing reaches the depths of a pod."""
    if depth <= 0 or draw(st.integers(0, 30)) == 0:
        return draw(SCALARS | JSON)
    match shape.form:
        case "struct":
            return draw(struct_values(shape.struct, depth))
        case "list" if shape.element is not None:
            return draw(st.lists(shaped(shape.element, depth - 1), max_size=2))
        case "map" if shape.element is not None:
            keys = st.sampled_from(["a", "b/c", "cpu", "X Y", ""])
            return draw(st.dictionaries(keys, shaped(shape.element, depth - 1), max_size=2))
        case "bool":
            return draw(st.booleans())
        case "int32" | "int64":
            return draw(st.integers(-2, 70000))
        case "IntOrString":
            return draw(st.integers(-2, 70000) | st.text(max_size=3))
        case "Time" | "MicroTime":
            return "2026-01-01T00:00:00.000000Z"
        case "Quantity":
            return draw(st.sampled_from(["1", "500m", "1Gi", "-1", "0.1m", "1e3"]))
        case "bytes":
            return draw(st.sampled_from(["", "YQ=="]))
        case _:
            return draw(
                st.sampled_from(["", "a", "b-c", "A_b", "Exists", "Always", "metadata.name"])
            )


@st.composite
def struct_values(draw: st.DrawFn, name: str, depth: int, group: str = "") -> dict[str, Any]:
    fields = [*struct_of(name, group).fields.values()]
    chosen = draw(st.lists(st.sampled_from(fields), max_size=6)) if fields else []
    value = {field.name: draw(shaped(field.shape, depth - 1)) for field in chosen}
    if draw(st.integers(0, 10)) == 0:
        value["unknown"] = draw(JSON)
    return value


@st.composite
def objects(draw: st.DrawFn) -> tuple[Kind, dict[str, Any]]:
    kind = draw(st.sampled_from(STORED))
    fields = struct_of(kind.name, kind.group).fields.values()
    return kind, {
        field.name: draw(shaped(field.shape, 7))
        for field in fields
        if field.name not in ("kind", "apiVersion") and draw(st.integers(0, 3))
    }
