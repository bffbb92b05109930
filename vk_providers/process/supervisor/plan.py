"""The format of ``plan.json``, the plan of a pod: types, and a reader.

vk's side (``vk_providers/process/plan.py``) validates the pod, sets all defaults and writes the
file, so all keys are present. The file is removed once read: it holds the containers' environment.
"""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypedDict

    from .rules import Kind

    class HTTPGetAction(TypedDict):
        """An HTTP GET; a status from 200 to 399 is a success."""

        scheme: Literal["http", "https"]
        host: str
        port: int
        path: str
        headers: list[tuple[str, str]]

    class TCPSocketAction(TypedDict):
        """A TCP connection that is opened and closed."""

        host: str
        port: int

    class Handler(TypedDict, total=False):
        """The handler of a probe or hook; one of the keys is set."""

        exec: list[str]
        http: HTTPGetAction
        tcp: TCPSocketAction
        sleep: float

    class ProbeJson(TypedDict):
        """The schedule and thresholds of a probe."""

        action: Handler
        initial_delay: float
        period: float
        timeout: float
        success_threshold: int
        failure_threshold: int
        grace_period: float | None

    class ContainerPlanJson(TypedDict):
        """One container."""

        name: str
        kind: Kind
        argv: list[str]
        env: dict[str, str]
        cwd: str
        uid: int | None
        gid: int | None
        groups: list[int]
        namespaces: list[str]
        confined_mounts: list[tuple[str, str, str]]
        stdin: bool
        stdin_once: bool
        tty: bool
        stop_signal: int
        post_start: Handler | None
        pre_stop: Handler | None
        startup: ProbeJson | None
        readiness: ProbeJson | None
        liveness: ProbeJson | None
        message_file: str | None
        message_policy: str

    class PodPlanJson(TypedDict):
        """One pod: ``containers`` has the init containers first, each kind in its order."""

        uid: str
        namespace: str
        name: str
        restart_policy: str
        grace_period: float
        log_limit: int
        log_files: int
        containers: list[ContainerPlanJson]


__all__ = ["take_plan"]


def take_plan(path: str) -> PodPlanJson:
    """Read the plan and remove its file."""
    with open(path, encoding="utf-8") as file:
        plan: PodPlanJson = json.load(file)
    os.unlink(path)
    return plan
