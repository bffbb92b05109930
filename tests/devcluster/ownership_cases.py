"""What the tests of field ownership share: objects, the two writes, and who owns what."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from vk.devcluster.apply.server_side import record_update, server_side_apply
from vk.devcluster.patch.schemas import schema_of

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:09Z"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Object = dict[str, Any]


def config(data: dict[str, Any] | None = None, **metadata: Any) -> Object:
    found = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", **metadata}}
    return found if data is None else {**found, "data": data}


def apply(
    live: Object | None, applied: Object, manager: str, force: bool = False, **more: str
) -> Object:
    more = {"now": NOW, **more}
    schema = schema_of(applied["kind"])
    return server_side_apply(live, applied, manager=manager, force=force, schema=schema, **more)


def update(old: Object | None, new: Object, manager: str, subresource: str = "") -> Object:
    schema = schema_of(new["kind"])
    return record_update(old, new, manager=manager, now=NOW, subresource=subresource, schema=schema)


def owned(obj: Object) -> dict[str, Any]:
    """Return what each entry owns: "manager operation [subresource]" -> fieldsV1."""
    entries = obj["metadata"].get("managedFields", [])
    return {
        " ".join(filter(None, (one["manager"], one["operation"], one.get("subresource")))): one[
            "fieldsV1"
        ]
        for one in entries
    }


def data(*names: str) -> Object:
    return {"f:data": {f"f:{name}": {} for name in names}}


def container(name: str, **fields: Any) -> Object:
    return {"name": name, **fields}


def pod(*containers: Any, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": list(containers), **spec},
    }


def node(**parts: Any) -> Object:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, **parts}


TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3)
CONTAINERS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")}, optional={"image": st.sampled_from("ij")}
    ),
    unique_by=lambda one: one["name"],
    min_size=1,  # an object without owned fields is no longer tracked
    max_size=3,
)
PODS = st.builds(
    lambda labels, containers: {
        **pod(*containers),
        "metadata": {"name": "p", "labels": labels} if labels else {"name": "p"},
    },
    TEXTS,
    CONTAINERS,
)
MANAGERS = st.sampled_from(["one", "two", "three"])
