"""The routing table: every path that this server answers, and the permission that each needs.

In: nothing. Out: `ROUTES`, from which `vk.server.app` builds its router and the tests their walk
without credentials and without permissions. Authorization uses the entry that the router chose,
never the text of the path.

The subresources are the kubelet's own, so that a role for a kubelet has the same effect here: logs
of containers need ``nodes/proxy``, and only the subresources before ``proxy`` are finer. Exec,
attach, run and port-forward need verb ``create`` even as a GET, which is stricter than the kubelet:
a permission to read must not run commands.
"""

from __future__ import annotations

import attrs

__all__ = ["ROUTES", "Route"]

_VERBS = {"GET": "get", "POST": "create"}


@attrs.frozen(kw_only=True)
class Route:
    """One entry. A user needs the verb on *one* of the ``subresources`` of this node."""

    name: str
    """Name of the handler; several entries may share one."""
    path: str
    """The template, which also labels metrics and log lines."""
    methods: tuple[str, ...] = ("GET",)
    subresources: tuple[str, ...] = ("proxy",)
    creates: bool = False
    """Verb ``create`` whatever the method."""
    health: bool = False
    """Answered to any client while no client can be authenticated."""
    plain: bool = False
    """Errors are plain text."""

    def verb(self, method: str, *, lenient: bool = False) -> str:
        """Return the verb that ``method`` needs; with ``lenient`` every GET is a read."""
        return "create" if self.creates and not lenient else _VERBS[method]


def _stream(name: str, path: str) -> Route:
    return Route(name=name, path=path, methods=("GET", "POST"), creates=True)


_POD = "/{namespace}/{pod}"

ROUTES = (
    Route(name="pods", path="/pods", subresources=("pods", "proxy")),
    Route(name="running_pods", path="/runningpods/", subresources=("pods", "proxy")),
    Route(name="logs", path=f"/containerLogs{_POD}/{{container}}", plain=True),
    _stream("exec", f"/exec{_POD}/{{container}}"),
    _stream("exec", f"/exec{_POD}/{{uid}}/{{container}}"),
    _stream("attach", f"/attach{_POD}/{{container}}"),
    _stream("attach", f"/attach{_POD}/{{uid}}/{{container}}"),
    _stream("port_forward", f"/portForward{_POD}"),
    _stream("port_forward", f"/portForward{_POD}/{{uid}}"),
    Route(name="run", path=f"/run{_POD}/{{container}}", methods=("POST",), creates=True),
    Route(name="run", path=f"/run{_POD}/{{uid}}/{{container}}", methods=("POST",), creates=True),
    Route(name="stats", path="/stats/summary", subresources=("stats",)),
    Route(name="resource_metrics", path="/metrics/resource", subresources=("metrics",)),
    Route(name="metrics", path="/metrics", subresources=("metrics",)),
    Route(name="health", path="/healthz", subresources=("healthz", "proxy"), health=True),
    Route(name="health", path="/livez", subresources=("healthz", "proxy"), health=True),
    Route(name="ready", path="/readyz", subresources=("healthz", "proxy"), health=True),
    Route(name="configuration", path="/configz", subresources=("configz", "proxy")),
    Route(name="summary", path="/vk/status"),
)
