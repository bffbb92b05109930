"""Pods as jobs of a batch system: submit, poll, requeue.

Queues are asked, they do not call; so there is no `watch_pods`, and vk polls `list_pods`. A job
that waits in line is a pod that is Pending and says so; one that was put back has restarted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import attrs
from queue_system import Job, Queue

import vk

REQUEUE = "batch.example/requeue"
"""Annotation of a pod: each new value puts its job back in line."""


@attrs.frozen
class Submission:
    """A pod and the job that it has become."""

    pod: vk.Pod
    job: Job

    def status(self) -> vk.PodStatus:
        (container,) = self.pod.containers
        one = vk.ContainerStatus(
            name=container.name, state=_state(self.job), restart_count=max(0, self.job.starts - 1)
        )
        return vk.PodStatus(self.pod.key, containers=[one], backend_id=str(self.job.number))


@attrs.define(eq=False)
class BatchProvider(vk.Provider):
    """Runs the only container of a pod as a job."""

    durable = False  # this queue ends with the process; another one's would not
    poll_interval = 0.5

    _queue: Queue = attrs.field(factory=Queue, init=False)
    _submissions: dict[str, Submission] = attrs.field(factory=dict, init=False)

    async def __aexit__(self, *_: object) -> None:
        for submission in self._submissions.values():
            self._queue.cancel(submission.job.number)

    async def describe_node(self) -> vk.NodeInfo:
        return vk.NodeInfo(capacity={"cpu": "64", "memory": "256Gi", "pods": "500"})

    async def create_pod(self, pod: vk.Pod) -> vk.PodStatus:
        uid = pod.key.uid
        if uid not in self._submissions:
            if len(pod.containers) != 1:
                raise vk.InvalidInputError("a job has one container")
            command = (*pod.containers[0].command, *pod.containers[0].args)
            if not command:
                raise vk.InvalidInputError("a job needs a command")
            self._submissions[uid] = Submission(pod, self._queue.submit(pod.key.name, command))
        return self._submissions[uid].status()

    async def update_pod(self, pod: vk.Pod, changed: Collection[str]) -> vk.PodStatus:
        """Requeue the job where the annotation says so; nothing else of a job can change."""
        submission = self._find(pod.key)
        if not set(changed) <= {"metadata.annotations", "metadata.labels"}:
            raise vk.UnsupportedError("a job cannot change once it is submitted")
        if pod.annotations.get(REQUEUE) != submission.pod.annotations.get(REQUEUE):
            self._queue.requeue(submission.job.number)
        self._submissions[pod.key.uid] = Submission(pod, submission.job)
        return submission.status()

    async def delete_pod(self, key: vk.PodKey, *, grace_period: float) -> None:
        submission = self._find(key)
        self._queue.cancel(submission.job.number)
        del self._submissions[key.uid]

    async def list_pods(self) -> Sequence[vk.PodStatus]:
        self._queue.poll()
        return [submission.status() for submission in self._submissions.values()]

    def _find(self, key: vk.PodKey) -> Submission:
        submission = self._submissions.get(key.uid)
        if submission is None:
            raise vk.NotFoundError(key)
        return submission


def _state(job: Job) -> vk.ContainerState:
    if job.exit_code is not None:
        return vk.Terminated(job.exit_code if job.exit_code >= 0 else 128 - job.exit_code)
    if job.state == "RUNNING":
        return vk.Running()
    if job.starts:
        return vk.Waiting("Requeued", f"job {job.number} was put back in line")
    return vk.Waiting("Queued", f"job {job.number} waits in line")


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    register("batch", BatchProvider)
