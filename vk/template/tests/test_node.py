"""A pod runs on a node of this provider, seen through a real kubectl."""

from typing import Any

from vk_sample.provider import SampleProvider


async def test_a_pod_runs(run_node: Any, kubectl: Any) -> None:
    await run_node(SampleProvider)
    await kubectl("run", "hello", "--image=busybox", "--command", "--", "sleep", "1000")
    await kubectl("wait", "--for=condition=Ready", "pod/hello", "--timeout=20s")
    await kubectl("delete", "pod", "hello")
