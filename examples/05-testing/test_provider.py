"""Testing a provider: the rules of all providers, its own behaviour, and a pod through kubectl."""

from __future__ import annotations

from provider import ChildProvider

from vk.testing import ProviderContract
from vk.testing.kubectl import Kubectl
from vk.testing.nodes import RunNode


class TestChild(ProviderContract):
    """Every rule is a test; one that does not hold says what was seen, and where to read on."""

    provider_class = ChildProvider


async def test_a_command_that_is_not_there_fails_the_pod(
    run_node: RunNode, kubectl: Kubectl
) -> None:
    """The fixtures give a node of this provider on a small cluster, and a real kubectl."""
    await run_node(ChildProvider)
    await kubectl("run", "typo", "--image=any", "--restart=Never", "--command", "--", "slep", "9")
    await kubectl("wait", "--for=jsonpath={.status.phase}=Failed", "pod/typo", "--timeout=20s")
    pod = await kubectl.get("pod", "typo")
    (container,) = pod["status"]["containerStatuses"]
    assert container["state"]["terminated"]["reason"] == "RunContainerError"
    assert "slep" in container["state"]["terminated"]["message"]
