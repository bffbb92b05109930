"""The request to a kubelet that a request about a pod becomes: path and query. Pure.

In: the pod as stored and the query of the client. Out: the target of the request to the kubelet, or
the refusal that the real API server gives.

Note: the two sides name the same things differently: ``stdin`` here is ``input`` there. And
a flag without a value is true: only ``false`` and ``0`` are not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from multidict import MultiMapping

from vk.devcluster import refusals
from vk.devcluster.calls import parse_integer
from vk.devcluster.kinds import Kind
from vk.devcluster.refusals import Cause
from vk.models.time import parse_time
from vk.streaming.negotiation import RequestedStreams

__all__ = ["container_of", "log_target", "node_name_of", "requested_streams", "stream_target"]

Object = dict[str, Any]
Query = MultiMapping[str]

_LOG_OPTIONS = Kind("", "v1", "PodLogOptions", "podlogoptions", verbs=())
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_STREAMS = ("All", "Stdout", "Stderr")
_PATHS = {"exec": "exec", "attach": "attach", "portforward": "portForward"}


def node_name_of(pod: Object) -> str:
    """Return the node that a pod is on. Raises a refusal where it is on none."""
    name: str = pod["spec"].get("nodeName") or ""
    if not name:
        why = f"pod {pod['metadata']['name']} does not have a host assigned"
        raise refusals.bad_request(why)
    return name


def container_of(pod: Object, wanted: str) -> str:
    """Return the container that is meant; of a pod with one, that one. Raises a refusal."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    names = [one["name"] for field in _CONTAINERS for one in spec.get(field, [])]
    if wanted:
        if wanted not in names:
            raise refusals.bad_request(f"container {wanted} is not valid for pod {name}")
        return wanted
    usual = spec.get("containers", [])
    if len(usual) == 1:
        only: str = usual[0]["name"]
        return only
    choice = f", choose one of: [{' '.join(names)}]" if usual else ""
    raise refusals.bad_request(f"a container name must be specified for pod {name}{choice}")


def log_target(pod: Object, query: Query) -> str:
    """Return the target for the log of a container. Raises refusals."""
    options = list(_log_options(pod["metadata"]["name"], query))
    container = container_of(pod, query.get("container", ""))
    return _target("containerLogs", pod, container, options)


def requested_streams(query: Query) -> RequestedStreams:
    """Return the streams that the client of exec or attach requests."""
    stdin, stdout, stderr, tty = (
        _flag(query, name) for name in ("stdin", "stdout", "stderr", "tty")
    )
    return RequestedStreams(stdin, stdout, stderr, tty)


def stream_target(pod: Object, subresource: str, query: Query) -> str:
    """Return the target for exec, attach or portforward. Raises refusals."""
    if subresource == "portforward":
        ports = ",".join(str(parse_integer(port)) for port in query.getall("ports", []))
        return _target(_PATHS[subresource], pod, "", [("port", ports)] if ports else [])
    container = container_of(pod, query.get("container", ""))
    requested = requested_streams(query)
    wanted = {
        "input": requested.stdin,
        "output": requested.stdout,
        "error": requested.stderr,
        "tty": requested.tty,
    }
    options = [(name, "1") for name, value in wanted.items() if value]
    if subresource == "exec":
        options += [("command", word) for word in query.getall("command", [])]
    return _target(_PATHS[subresource], pod, container, options)


def _target(route: str, pod: Object, container: str, options: Sequence[tuple[str, str]]) -> str:
    metadata = pod["metadata"]
    names = [metadata["namespace"], metadata["name"], *([container] if container else [])]
    path = "/".join(quote(name, safe="") for name in names)
    query = f"?{urlencode(options)}" if options else ""
    return f"/{route}/{path}{query}"


def _flag(query: Query, name: str) -> bool:
    return name in query and query[name].lower() not in ("false", "0")


def _number(query: Query, name: str) -> int | None:
    text = query.get(name)
    return None if text is None else parse_integer(text)


def _log_options(name: str, query: Query) -> Iterator[tuple[str, str]]:
    numbers = {key: _number(query, key) for key in ("tailLines", "limitBytes", "sinceSeconds")}
    since = query.get("sinceTime", "")
    if since and parse_time(since) is None:
        raise refusals.bad_request(f'parsing time "{since}" as RFC 3339: cannot parse')
    stream = query.get("stream", "")
    causes = list(_log_causes(numbers, since, stream))
    if causes:
        raise refusals.invalid(_LOG_OPTIONS, name, causes)
    yield from ((key, "true") for key in ("follow", "previous", "timestamps") if _flag(query, key))
    yield from ((key, str(value)) for key, value in numbers.items() if value is not None)
    yield from ((key, value) for key, value in (("sinceTime", since), ("stream", stream)) if value)


def _log_causes(numbers: dict[str, int | None], since: str, stream: str) -> Iterator[Cause]:
    tail = numbers["tailLines"]
    if tail is not None and tail < 0:
        yield _wrong("tailLines", tail, "must be greater than or equal to 0")
    limit, seconds = numbers["limitBytes"], numbers["sinceSeconds"]
    if limit is not None and limit < 1:
        yield _wrong("limitBytes", limit, "must be greater than 0")
    if seconds is not None and since:
        why = "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"
        yield Cause("FieldValueForbidden", why, "")
    elif seconds is not None and seconds < 1:
        yield _wrong("sinceSeconds", seconds, "must be greater than 0")
    if stream and stream not in _STREAMS:
        listed = ", ".join(f'"{one}"' for one in _STREAMS)
        why = f'Unsupported value: "{stream}": supported values: {listed}'
        yield Cause("FieldValueNotSupported", why, "stream")


def _wrong(field: str, value: int, why: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {value}: {why}", field)
