"""README's terminals on a real cluster: a node started by hand, and what ECI's set-up types."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from doc_blocks import ROOT, Step, block, fits
from eci_emulator import emulator
from node_process import own_address
from shell import Shell

from vk.testing.control_plane import ControlPlane, eventually
from vk.testing.programs import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@contextmanager
def terminal(command: str, folder: Path, kubeconfig: Path) -> Iterator[None]:
    """Run ``python -m ...`` as in a terminal of its own; Ctrl-C ends it, and well."""
    environment = {
        **os.environ,
        "KUBECONFIG": str(kubeconfig),
        "KUBELET_PORT": str(free_port()),
        "VKUBELET_POD_IP": "127.0.0.1",
        "XDG_STATE_HOME": str(folder / "state"),
    }
    program, *words = command.split()
    assert program == "python"
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment)
    try:
        yield
        process.terminate()
        assert process.wait(40) == 0
    finally:
        process.kill()
        process.wait()


def shows(shell: Shell, step: Step) -> bool:
    """Whether a command prints every line that the page shows; moments differ."""
    text = shell.run(step.command)
    shown = [re.sub(r"\b\d+s\b", "...", line) for line in step.printed]
    return all(any(fits([line], each) for each in text.splitlines()) for line in shown)


def test_a_kubeconfig_is_all_it_takes(control_plane: ControlPlane, tmp_path: Path) -> None:
    shell = Shell.of(control_plane, tmp_path)
    (start,) = block("README.md", "$ python -m vk --provider mock").commands()
    page = block("vk_providers/process/README.md", "$ vk dev --provider process").commands()
    assert start.replace("mock", "process") == page[1]
    node, apply, pods = block("README.md", "$ kubectl get nodes\nNAME").steps()
    try:
        with terminal(start, tmp_path, control_plane.admin_kubeconfig):
            eventually(lambda: shows(shell, node), "the node is ready as shown", timeout=60)
            assert shows(shell, apply)
            eventually(lambda: shows(shell, pods), "the pod runs as shown", timeout=60)
            shell.run("kubectl delete pod nginx --timeout=60s")
    finally:
        shell.run("kubectl delete node virtual-kubelet --ignore-not-found")


@pytest.mark.usefixtures("restored_roles")
def test_eci_is_set_up_by_one_file(control_plane: ControlPlane, tmp_path: Path) -> None:
    """The emulator stands for the service, and variables for what the machine's metadata tells."""
    apply, doctor, nodes = block("README.md", "$ kubectl apply -f examples/deploy").commands()
    plain = Shell.of(control_plane, tmp_path)
    with emulator() as service:
        given = (flag.split("=", 1) for flag in service.flags()[1::2])
        account = {f"ECI_{name.upper()}": text for name, text in given}
        account["ECI_VSWITCH"] = account.pop("ECI_VSWITCHES")
        shell = Shell({**plain.environment, **account, "VKUBELET_POD_IP": own_address()})
        try:
            assert "deployment.apps/vk-eci created" in shell.run(apply)
            assert shell.run(doctor).endswith("all is well\n")
            shell.run(nodes)
        finally:
            shell.run(apply.replace("apply", "delete"))
