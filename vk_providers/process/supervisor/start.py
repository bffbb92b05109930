"""Start and end of the supervisor process.

`main` is called with the pod's folder, which contains ``plan.json``. The process that vk started
exits as soon as the supervisor accepts connections: with `STARTED`, or with an error code. The
reaper continues in a session of its own, with the supervisor as its child.

The holder of the lock FOLDER/lock is the pod's only supervisor; a folder with a ``status.json`` and
a free lock belongs to a pod that has ended or is lost, and is never started again.
"""

from __future__ import annotations

import os
import signal

from . import linux

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .children import Children

__all__ = ["FAILED", "RAN_BEFORE", "RUNS_ALREADY", "STARTED", "main"]

STARTED, FAILED, RUNS_ALREADY, RAN_BEFORE = 0, 1, 3, 4

_FLUSH = 5.0
"""Seconds for connected clients to read the final status."""


def main(folder: str) -> int:
    """Start the supervisor of the pod in ``folder``; return the exit code of this process."""
    os.umask(0o077)
    os.chdir(folder)
    if not linux.lock(os.open("lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)):
        return RUNS_ALREADY
    if os.path.exists("status.json"):
        return RAN_BEFORE
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(read_end)
        os._exit(_detached(write_end))
    os.close(write_end)
    return STARTED if os.read(read_end, 1) else FAILED


def _detached(ready: int) -> int:
    """Become the reaper, with the supervisor as its child."""
    os.setsid()
    log = os.open("supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, fd in enumerate((nothing, log, log)):
        os.dup2(fd, number)
    linux.become_subreaper()
    reaper = os.getpid()
    supervisor = os.fork()
    if supervisor == 0:
        exit_code = FAILED
        try:
            _supervise(ready, reaper)
            exit_code = STARTED
        except BaseException:  # noqa: BLE001 # the last place to report it
            _say_why()
        finally:
            os._exit(exit_code)
    os.close(ready)
    from .reaper import reap

    return reap(supervisor)


def _say_why() -> None:
    import traceback

    traceback.print_exc()


def _supervise(ready: int, reaper: int) -> None:
    """Run the pod to its end."""
    from .children import Children
    from .clients import SupervisorServer
    from .loop import EventLoop
    from .plan import take_plan
    from .pod import SupervisedPod
    from .status import StatusJournal

    linux.become_subreaper()
    loop = EventLoop()
    children = Children(loop)
    _end_with_reaper(children, reaper)
    plan = take_plan("plan.json")
    journal = StatusJournal(loop, plan)
    pod = SupervisedPod(loop, plan, children=children, journal=journal)
    grace_period = plan["grace_period"]
    signal.signal(signal.SIGTERM, lambda _number, _frame: loop.soon(lambda: pod.stop(grace_period)))
    server = SupervisorServer(loop, pod=pod, children=children, journal=journal)
    journal.publish()
    os.write(ready, b"1")
    os.close(ready)
    loop.run(loop.task(pod.run()))
    loop.run(loop.task(server.flush(_FLUSH)))


def _end_with_reaper(children: Children, reaper: int) -> None:
    def end(_number: int, _frame: object) -> None:
        children.kill_rest()
        os._exit(FAILED)

    signal.signal(signal.SIGUSR1, end)
    linux.die_with_parent(signal.SIGUSR1)
    if os.getppid() != reaper:
        end(0, None)
