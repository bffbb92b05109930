"""The table of everything that this server answers, with the right that each entry needs.

In: nothing. Out: `ROUTES`, from which `vk.server.app` builds its router and the tests their walk
without credentials and without rights. Access is decided on the entry that the router chose, never
on the text of the path.

Surprising: the subresources are the kubelet's own, so that roles made for it do here what they do
there: logs of containers need ``nodes/proxy``, and only what stands before ``proxy`` has a finer
name. Exec, attach, run and port-forward need verb ``create`` even as a GET, which is stricter than
the kubelet: a right to read must not run commands.
"""

from __future__ import annotations

import attrs

__all__ = ["ROUTES", "Route"]

_VERBS = {"GET": "get", "POST": "create"}


@attrs.frozen(kw_only=True)
class Route:
    """One entry. A caller needs the verb on *one* of the ``subresources`` of this node."""

    name: str
    """Names the function that answers; several entries may share one."""
    path: str
    """The template, which also labels metrics and log lines."""
    methods: tuple[str, ...] = ("GET",)
    subresources: tuple[str, ...] = ("proxy",)
    creates: bool = False
    """Verb ``create`` whatever the method."""
    health: bool = False
    """Answered to anybody where nobody can be told apart: see `vk.server.authentication`."""
    plain: bool = False
    """Refusals are plain text."""

    def verb(self, method: str, *, lenient: bool = False) -> str:
        """Return the verb that ``method`` needs; ``lenient`` takes a GET for reading always."""
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
