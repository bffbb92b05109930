"""Rules of the FieldTable: what it says is honoured is honoured."""

from __future__ import annotations

from vk.models.status import ContainerStatus, Running, Terminated, Waiting
from vk.testing.contract.base import Base
from vk.testing.contract.bench import Bench
from vk.testing.contract.probes import VALUE, add, look
from vk.testing.contract.rule import require, rule

__all__ = ["Fields"]


class Fields(Base):
    """Fields whose effect a process can see. The others are the author's word."""

    @rule
    async def test_an_honoured_command_and_its_args_are_run(self, bench: Bench) -> None:
        """Arguments arrive as they are: one each, and no shell reads them again."""
        if not bench.provider.fields.honours("spec.containers[].args"):
            return
        args = ["-c", 'printf %s "$1"', "sh", VALUE]
        manifest = add(self.pod("exit 0"), container={"command": ["sh"], "args": args})
        seen = await look(self, bench, bench.pod(manifest), "spec.containers[].args")
        require(seen == VALUE, f"the argument is {VALUE!r}, the process sees {seen!r}")

    @rule
    async def test_an_honoured_working_directory_is_entered(self, bench: Bench) -> None:
        """The process starts in ``workingDir``."""
        if not bench.provider.fields.honours("spec.containers[].workingDir"):
            return
        manifest = add(self.pod("pwd"), container={"workingDir": "/etc"})
        seen = await look(self, bench, bench.pod(manifest), "spec.containers[].workingDir")
        require(seen == "/etc", f"workingDir is /etc, the process is in {seen!r}")

    @rule
    async def test_an_honoured_restart_policy_restarts(self, bench: Bench) -> None:
        """With restartPolicy Always a container that ends is started again, and says so.

        It runs again, has a higher restart count, or waits in CrashLoopBackOff.
        """
        if not bench.provider.fields.honours("spec.restartPolicy"):
            return
        pod = bench.pod(add(self.pod("exit 1"), spec={"restartPolicy": "Always"}))
        await bench.create(pod)
        await bench.until(
            pod,
            lambda _, status: any(map(_restarted, status.containers)),
            "the container is started again",
        )


def _restarted(one: ContainerStatus) -> bool:
    match one.state:
        case Running() | Terminated():
            return bool(one.restart_count)
        case Waiting(reason, _):
            return reason == "CrashLoopBackOff" or bool(one.last_state)
