"""A node of Alibaba Cloud as a process, on an emulator."""

from __future__ import annotations

from eci_emulator import Emulator
from node_process import NodeProcess, StartNode

from vk.testing.control_plane import ControlPlane


def start(make_node: StartNode, eci: Emulator, *flags: str, **more: str) -> NodeProcess:
    settings = eci.flags(quota_share="1", **more)
    node: NodeProcess = make_node("", *settings, *flags, provider="alibabacloud")
    node.start()
    node.wait_ready()
    return node


def apply(control_plane: ControlPlane, namespace: str, *things: str) -> None:
    for thing in things:
        control_plane.kubectl("apply", f"--namespace={namespace}", "-f", "-", input=thing)
