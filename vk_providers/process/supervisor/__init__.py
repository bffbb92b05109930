"""The supervisor: one small process a pod that owns the pod's processes and outlives vk.

Started as ``python -I -S vk_providers/process/supervisor FOLDER`` (`start`), it reads the plan in
FOLDER (`plan`), runs the pod by the kubelet's rules (`pod`, `container`, `container_process`,
`rules`), writes the log files (`log_file`) and ``status.json`` (`status`), and serves vk on
FOLDER's socket (`clients`, `requests`, `sessions`; the framing is in `frames`). Processes and
events: `loop`, `children`, `spawn`, and `namespaces` for an isolated container.

Nothing here imports vk, a third-party package or a costly module of the standard library:
``asyncio`` would add 9 MB a pod, ``dataclasses`` and ``typing`` 1 MB each. Types come in below
``if TYPE_CHECKING``, which is true for type checkers. Imports are relative, since here
the package is called ``supervisor`` and in vk ``vk_providers.process.supervisor``.

Memory of an idle pod with one container, read from ``/proc/PID/smaps_rollup`` with CPython 3.11 on
x86-64: supervisor 12 MB resident of which 5.3 MB are its own, reaper 9 MB of which 2.9 MB are
its own (3.12 and 3.13: 13, 5.9, 9, 3.0); the rest is the interpreter's file, which all pods share.
``test_supervisor.py`` measures it in the same way and fails above 16 MB of own memory a pod.
"""
