"""What a container sees and may touch: in bubblewrap, and without it."""

from __future__ import annotations

import logging
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from isolation_here import needs_bubblewrap, needs_root
from process_world import ended, is_up, node, pod, sh

import vk
from vk_providers.process.config import Image

pytestmark = pytest.mark.slow

_CACHE = {"volumes": [{"name": "cache", "emptyDir": {}}]}


def _mounted(path: str, **fields: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "cache", "mountPath": path, **fields}]}


@needs_bubblewrap
async def test_an_isolated_container_has_its_own_processes_name_and_folders(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        wanted = pod(sh("sleep 1000"), hostname="alone")
        await here.create(wanted)
        await here.until(wanted)
        assert await here.output(wanted, "cat /proc/sys/kernel/hostname") == "alone\n"
        pids = await here.output(wanted, "cd /proc; echo [0-9]*")
        assert len(pids.split()) < 6  # bubblewrap, the shell, this command
        assert await here.output(wanted, "ls /tmp /run /dev/shm") == (
            "/dev/shm:\n\n/run:\n\n/tmp:\n"
        )
        assert "Read-only" in await here.output(wanted, "touch /usr/x /x /etc/x")
        assert await here.output(wanted, "echo a > /tmp/a; cat /tmp/a") == "a\n"
        assert await here.output(wanted, "grep NoNewPrivs /proc/$$/status") == "NoNewPrivs:\t1\n"
        assert await here.output(wanted, "echo a > /dev/null; head -c 3 /dev/zero | wc -c") == "3\n"
        assert str(state) not in await here.output(wanted, "cat /proc/mounts; ls /tmp")


@needs_bubblewrap
@pytest.mark.parametrize("path", ["/cache", "/usr/share/vk-test/deep/cache", "/tmp/a/b", "/etc"])
async def test_an_empty_dir_is_where_the_pod_wants_it_and_containers_share_it(
    state: Path, path: str
) -> None:
    async with node(state, isolation="bubblewrap") as here:
        writer = sh(f"echo shared > {path}/f; sleep 1000", name="w", **_mounted(path))
        reader = sh("sleep 1000", **_mounted("/elsewhere", readOnly=True))
        wanted = pod(writer, reader, **_CACHE)
        await here.create(wanted)
        await here.until(wanted, lambda status: is_up(status) and is_up(status, "w"))
        look = "until test -s /elsewhere/f; do :; done; cat /elsewhere/f"
        assert await here.output(wanted, look) == "shared\n"
        assert "Read-only" in await here.output(wanted, "touch /elsewhere/g")
        assert await here.output(wanted, f"ls {path}", name="w") == "f\n"
        assert (here.folder(wanted, "files") / "volumes/cache/f").read_text() == "shared\n"
        assert "bin" in await here.output(wanted, "ls /usr")


@needs_bubblewrap
async def test_the_message_of_the_end_is_read_from_where_the_pod_wants_it(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        default = sh("echo by > /dev/termination-log")
        chosen = sh("echo own > /var/vk/why", name="d", terminationMessagePath="/var/vk/why")
        wanted = pod(default, chosen)
        await here.create(wanted)
        status = await here.until(wanted, lambda each: ended(each) and ended(each, "d"))
        assert (ended(status).message, ended(status, "d").message) == ("by\n", "own\n")


@needs_bubblewrap
async def test_host_aliases_and_the_pods_own_name_are_in_its_hosts_file(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        aliases = [{"ip": "192.0.2.9", "hostnames": ["far.example", "far"]}]
        wanted = pod(sh("sleep 1000"), hostname="me", hostAliases=aliases)
        status = await here.create(wanted)
        await here.until(wanted)
        hosts = await here.output(wanted, "cat /etc/hosts")
        assert f"{status.pod_ips[0]}\tme\n" in hosts
        assert "192.0.2.9\tfar.example far\n" in hosts


@needs_bubblewrap
async def test_an_image_brings_root_folder_command_environment_and_working_directory(
    state: Path,
) -> None:
    root = state / "image"
    (root / "srv/app").mkdir(parents=True)
    (root / "marker").write_text("of the image\n")
    _copy_program(Path("/bin/sh"), root)
    image = Image(
        root=str(root),
        entrypoint=("sh", "-c", 'read text < /marker; echo "$0 $GREETING $PWD $text"; echo /*'),
        command=("by-default",),
        env={"GREETING": "hello"},
        working_dir="/srv/app",
    )
    async with node(state, isolation="bubblewrap", images={"app:*": image}) as here:
        wanted = pod(
            {"name": "c", "image": "app:2"}, {"name": "d", "image": "app:3", "args": ["x"]}
        )
        await here.create(wanted)
        await here.until(wanted, lambda each: ended(each) and ended(each, "d"))
        said, listed = (await here.log(wanted)).splitlines()
        assert said == "by-default hello /srv/app of the image"
        assert "/home" not in listed.split() and {"/marker", "/srv", "/tmp"} <= set(listed.split())
        assert (await here.log(wanted, "d")).startswith("x hello /srv/app")


def _copy_program(program: Path, root: Path) -> None:
    """Copy a program of this machine with the libraries that it needs."""
    needed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *(Path(word) for word in needed.split() if word.startswith("/"))):
        target = root / str(path).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


async def test_without_bubblewrap_volumes_lie_below_the_state_folder(state: Path) -> None:
    async with node(state, isolation="none") as here:
        script = 'pwd; echo $VK_VOLUMES; echo by > "$VK_TERMINATION_MESSAGE"'
        wanted = pod(sh(script, workingDir="/cache/sub/..", **_mounted("/cache")), **_CACHE)
        await here.create(wanted)
        volumes = here.folder(wanted, "files") / "volumes"
        status = await here.until(wanted, ended)
        assert ended(status).message == "by\n", await here.log(wanted)
        assert await here.log(wanted) == f"{volumes}/cache\n{volumes}\n"


async def test_pods_without_isolation_are_logged_once(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with node(state, isolation="none") as here:
            for _ in range(3):
                await here.create(pod(sh("true")))
    said = [each.message for each in caplog.records if "not isolated" in each.message]
    assert len(said) == 1


async def test_without_bubblewrap_auto_isolates_nothing_and_bubblewrap_is_an_error(
    state: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", str(state))
    async with node(state, isolation="auto"):
        assert "not isolated" in caplog.text
    with pytest.raises(vk.ConfigError, match="bwrap is not installed"):
        async with node(state, isolation="bubblewrap"):
            raise AssertionError("it opened")


async def test_a_root_folder_needs_bubblewrap(state: Path) -> None:
    image = Image(root="/srv", entrypoint=("true",))
    async with node(state, isolation="none", images={"app": image}) as here:
        with pytest.raises(vk.PermanentError, match="needs bubblewrap") as raised:
            await here.create(pod({"name": "c", "image": "app"}))
        assert raised.value.reason == "NotIsolated"


@needs_root
@pytest.mark.parametrize("isolation", ["none", pytest.param("bubblewrap", marks=needs_bubblewrap)])
async def test_a_container_runs_as_the_user_that_the_pod_names(state: Path, isolation: str) -> None:
    async with node(state, isolation=isolation) as here:
        place = "/cache" if isolation == "bubblewrap" else '"$VK_VOLUMES/cache"'
        wanted = pod(
            sh(f"echo mine > {place}/f; echo $(id -u) $(id -g); sleep 1000", **_mounted("/cache")),
            securityContext={"runAsUser": 12345, "runAsGroup": 23456, "fsGroup": 34567},
            **_CACHE,
        )
        await here.create(wanted)
        await here.first_line(wanted)
        assert await here.output(wanted, f"id -u; id -g; cat {place}/f") == "12345\n23456\nmine\n"
        assert await here.log(wanted) == "12345 23456\n"
        file = (here.folder(wanted, "files") / "volumes/cache/f").stat()
        assert (file.st_uid, file.st_gid) == (12345, 34567)
        folder = (here.folder(wanted, "files") / "volumes/cache").stat()
        assert stat.S_IMODE(folder.st_mode) == 0o2777


@needs_root
async def test_a_pod_that_must_not_run_as_root_is_refused_where_it_would(state: Path) -> None:
    async with node(state) as here:
        with pytest.raises(vk.PermanentError, match="would run as root"):
            await here.create(pod(sh("true"), securityContext={"runAsNonRoot": True}))


async def test_volumes_of_another_kind_are_refused(state: Path) -> None:
    async with node(state) as here:
        for kind in ("hostPath", "nfs", "unheardOf"):
            source = {"server": "s", "path": "/p"}
            with pytest.raises(vk.PermanentError, match=f"volumes of kind {kind}"):
                await here.create(pod(sh("true"), volumes=[{"name": "v", kind: source}]))
