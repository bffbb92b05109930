"""docs/operations/install.md as an operator types it: kustomize, a plain host, leaving, staying.

The commands run as they stand, on a real control plane.
"""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from doc_blocks import Block, block
from host import Host
from node_process import ROOT, own_address
from shell import Shell

from vk.testing.control_plane import ControlPlane, eventually
from vk.testing.programs import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(240)]
pytestmark += [pytest.mark.usefixtures("restored_roles")]

NODE = "vk-mock"


def node(plane: ControlPlane) -> Any:
    return plane.get("node", NODE)


def ready(plane: ControlPlane) -> bool:
    conditions = node(plane)["status"].get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def test_an_overlay_is_applied_left_and_removed(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A drained node may be taken back; after the second drain nothing of it is left.

    The overlay's copy has a short lease: with the roles gone, the process cannot give it back.
    """
    shutil.copytree(ROOT / "examples" / "deploy", tmp_path / "examples" / "deploy")
    config = tmp_path / "examples/deploy/overlays/mock/config.yaml"
    config.write_text(config.read_text() + "node-lease-duration: 3s\n")
    plane, shell = control_plane, Shell.of(control_plane, tmp_path)
    (apply,) = block("docs/operations/install.md", "$ kubectl apply -k").commands()
    leave = block("docs/operations/install.md", "$ vk drain").commands(
        NODE=NODE, OVERLAY=apply.split()[-1]
    )
    (tmp_path / "pods").mkdir()
    with Host(plane, tmp_path / "pods") as host:
        shell.run(apply, folder=tmp_path)
        eventually(lambda: ready(plane), "the node is ready", timeout=60)
        shell.run(leave[0])
        assert node(plane)["spec"]["unschedulable"]
        for command in block("docs/operations/install.md", "$ kubectl uncordon").commands(
            NODE=NODE
        ):
            shell.run(command)
        assert "unschedulable" not in node(plane)["spec"]
        taints = [one["key"] for one in node(plane)["spec"].get("taints", ())]
        assert "virtual-kubelet.io/draining" not in taints
        shell.run(leave[0])
        shell.run(leave[1], folder=tmp_path)
        eventually(host.is_idle, "the processes have ended")
        shell.run(leave[2])
    assert not plane.kubectl("get", "node", NODE, "--ignore-not-found")


def wheel(folder: Path) -> Path:
    """Build the distribution as it would be published; return the folder that it lies in."""
    source = folder / "source"
    for name in ("vk", "vk_providers"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "python3 -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir ../wheels ."
    subprocess.run(build.split(), cwd=source, check=True)
    return folder / "wheels"


def unit(page: Block) -> configparser.SectionProxy:
    """Read a unit of systemd."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign] # names keep their case
    parser.read_string(page.text)
    return parser["Service"]


def test_a_plain_host_is_installed_and_serves(
    control_plane: ControlPlane, kubeconfig: Path, tmp_path: Path
) -> None:
    """From the wheel, in an environment of its own; run, reloaded and stopped as the unit says."""
    install, roles, look, start = block("docs/operations/install.md", "$ python3 -m venv").commands(
        NODE=NODE, PROVIDER="mock"
    )
    service = unit(block("docs/operations/install.md", "[Service]"))
    assert service["ExecStart"] == start
    folders = {name: str(tmp_path / name) for name in ("opt", "etc", "var")}
    shell = Shell.of(control_plane, tmp_path, **folders)
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_FIND_LINKS": str(wheel(tmp_path))}
    Shell({**shell.environment, **offline}, folders).run(install)
    (site,) = (tmp_path / "opt/vk").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    config = tmp_path / "etc/vk/config.yaml"
    config.parent.mkdir(parents=True)
    port = {"kubelet-port": free_port(), "internal-ip": own_address()}
    settings = {"provider": "mock", "nodename": NODE, "kubeconfig": str(kubeconfig), **port}
    config.write_text(yaml.safe_dump(settings))

    shell.run(roles)
    assert shell.run(look).endswith("all is well\n")
    name, _, value = shell.here(service["Environment"] + "/").rstrip("/").partition("=")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            shell.here(service["ExecStart"]).split(),
            env={**os.environ, name: value},
            stdout=log,
            stderr=log,
        )
    try:
        eventually(lambda: ready(control_plane), "the node is ready", timeout=60)
        assert (Path(value) / service["StateDirectory"]).is_dir()
        config.write_text(yaml.safe_dump({**settings, "log-level": "debug"}))
        shell.run(service["ExecReload"].replace("$MAINPID", str(process.pid)))
        text = (tmp_path / "log").read_text
        eventually(lambda: "setting changed" in text(), "the file is read again")
        process.terminate()
        assert process.wait(float(service["TimeoutStopSec"])) == 0
    finally:
        process.kill()
        process.wait()
        print((tmp_path / "log").read_text()[-3000:])
        control_plane.kubectl("delete", "node", NODE, "--ignore-not-found")
