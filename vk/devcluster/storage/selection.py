"""Which objects of a kind a request is about: namespace, name, label and field selectors.

A `Call` comes in; `Selection.matches` decides for lists, watches and deletion of collections. Pure.
"""

from __future__ import annotations

import attrs

from vk.devcluster import refusals
from vk.devcluster.calls import Call
from vk.devcluster.kinds import Kind
from vk.devcluster.storage.field_selector import FieldSelector, parse_field_selector
from vk.devcluster.storage.history import Entry
from vk.devcluster.validation import field_labels
from vk.notation.selector import (
    LabelSelector,
    parse_label_selector,
)

__all__ = ["Selection", "selection_of"]

_OWN_FIELDS = {
    "CertificateSigningRequest",
    "Event",
    "Namespace",
    "Node",
    "Pod",
    "Secret",
    "Service",
}


@attrs.frozen(eq=False)
class Selection:
    """The selectors of a request; empty ones select everything."""

    namespace: str = ""
    name: str = ""
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None

    @property
    def selects(self) -> bool:
        """Return whether a selector is given beside the namespace."""
        return bool(self.name or self.labels or self.fields)

    def matches(self, entry: Entry) -> bool:
        """Return whether the object is one of those."""
        if self.namespace and entry.namespace != self.namespace:
            return False
        if self.name and entry.name != self.name:
            return False
        if self.labels is not None and not self.labels.matches(entry.labels):
            return False
        return self.fields is None or self.fields.matches(entry.fields)


def selection_of(call: Call) -> Selection:
    """Read the selectors of a request. Raises the refusal bad_request."""
    target = call.target
    labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
    try:
        return Selection(
            target.namespace,
            target.name,
            parse_label_selector(labels) if labels else None,
            _fields(target.kind, fields) if fields else None,
        )
    except ValueError as error:
        raise refusals.bad_request(str(error)) from None


def _fields(kind: Kind, text: str) -> FieldSelector:
    selector = parse_field_selector(text)
    known = field_labels(kind)
    for path, _, _ in selector.requirements:
        if path in known:
            continue
        if kind.name in _OWN_FIELDS:
            raise ValueError(f"field label not supported: {path}")
        raise ValueError(
            f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'
        )
    return selector
