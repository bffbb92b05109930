"""Counts of requests to the embedded API server, as ``/metrics`` of a real one has them.

Tests and benchmarks read there how many requests a program sends. In: calls and the status of
their answers. Out: the counter ``apiserver_request_total`` as Prometheus reads it. Pure.
"""

from __future__ import annotations

from collections import Counter

import attrs

from vk.devcluster.calls import CONNECTED, Call

__all__ = ["RequestCounts"]

_HEAD = "# TYPE apiserver_request_total counter\n"
_VERBS = {"create": "POST", "update": "PUT"}
_LABELS = ("code", "group", "resource", "subresource", "verb", "version")


@attrs.define(eq=False)
class RequestCounts:
    """Counts requests for resources; a watch counts when it ends."""

    _counts: Counter[tuple[str, ...]] = attrs.field(factory=Counter, init=False)

    def add(self, call: Call, code: int) -> None:
        """Count one request that was answered with ``code``."""
        target, kind = call.target, call.target.kind
        verb = _VERBS.get(call.verb, call.verb.upper())
        if target.subresource in CONNECTED:
            verb = "CONNECT"
        elif verb == "PATCH" and "apply-patch" in call.content_type:
            verb = "APPLY"
        self._counts[
            (str(code), kind.group, kind.plural, target.subresource, verb, kind.version)
        ] += 1

    def text(self) -> str:
        """Return all counts, one a line."""
        return _HEAD + "".join(
            f"apiserver_request_total{{{_labels(values)}}} {count}\n"
            for values, count in sorted(self._counts.items())
        )


def _labels(values: tuple[str, ...]) -> str:
    return ",".join(f'{name}="{value}"' for name, value in zip(_LABELS, values, strict=True))
