"""Volumes of files and claims in the processes of a pod, and how files change under them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from isolation_here import both_ways, needs_bubblewrap, needs_root
from process_world import ended, is_up, node, pod, sh

import vk
from vk.models.pod import Resolution
from vk.models.volumes import volume

pytestmark = pytest.mark.slow

_SETTINGS = {"name": "settings", "configMap": {"name": "x"}}
_TREE = {"colour": vk.File(b"green\n"), "deep/shape": vk.File(b"round\n", mode=0o400)}


def resolved(wanted: vk.Pod, files: dict[str, Any], claims: dict[str, Any] | None = None) -> vk.Pod:
    """The pod as the core gives it to a provider."""
    volumes = {
        raw["name"]: volume(raw, (claims or {}).get(raw["name"])) for raw in wanted.spec["volumes"]
    }
    resolution = Resolution(
        containers=wanted.containers,
        init_containers=wanted.init_containers,
        files=files,
        volumes=volumes,
    )
    return attrs.evolve(wanted, resolution=resolution)


def mounted(path: str, **fields: Any) -> dict[str, Any]:
    return {"volumeMounts": [{"name": "settings", "mountPath": path, **fields}]}


@needs_bubblewrap
async def test_files_are_where_the_pod_wants_them_and_cannot_be_written(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        wanted = pod(sh("sleep 1000", **mounted("/etc/app/conf")), volumes=[_SETTINGS])
        await here.create(resolved(wanted, {"settings": _TREE}))
        await here.until(wanted)
        assert await here.output(wanted, "cd /etc/app/conf; cat colour deep/shape; ls") == (
            "green\nround\ncolour\ndeep\n"
        )
        assert "Read-only" in await here.output(wanted, "echo x > /etc/app/conf/new")


@both_ways
async def test_changed_files_reach_a_running_process_all_at_once(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        place = "/conf" if isolation == "bubblewrap" else '"$VK_VOLUMES/settings"'
        wanted = pod(sh("sleep 1000", **mounted("/conf")), volumes=[_SETTINGS])
        await here.create(resolved(wanted, {"settings": _TREE}))
        await here.until(wanted)
        assert await here.output(wanted, f"cat {place}/colour") == "green\n"
        fresh = {"colour": vk.File(b"red\n"), "size": vk.File(b"9\n")}
        await here.provider.update_files(wanted.key, "settings", fresh)
        assert await here.output(wanted, f"cd {place}; ls; cat colour") == "colour\nsize\nred\n"


@needs_bubblewrap
async def test_a_sub_path_shows_one_file_or_folder(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        mounts = [
            {"name": "settings", "mountPath": "/etc/app.conf", "subPath": "colour"},
            {"name": "settings", "mountPath": "/srv/deep", "subPath": "deep"},
            {"name": "cache", "mountPath": "/cache", "subPathExpr": "of/$(WHO)"},
        ]
        env = [{"name": "WHO", "value": "me"}]
        main = sh("echo kept > /cache/f; sleep 1000", volumeMounts=mounts, env=env)
        wanted = pod(main, volumes=[_SETTINGS, {"name": "cache", "emptyDir": {}}])
        await here.create(resolved(wanted, {"settings": _TREE}))
        await here.until(wanted)
        assert await here.output(wanted, "cat /etc/app.conf /srv/deep/shape") == "green\nround\n"
        await here.output(wanted, "until test -s /cache/f; do :; done")
        kept = here.folder(wanted, "files") / "volumes/cache/of/me/f"
        assert kept.read_text() == "kept\n"


@needs_bubblewrap
async def test_a_container_that_restarts_after_a_change_sees_the_new_files_in_a_sub_path(
    state: Path,
) -> None:
    async with node(state, isolation="bubblewrap") as here:
        main = sh("cat /one; test $(cat /one) = red", **mounted("/one", subPath="colour"))
        wanted = pod(main, volumes=[_SETTINGS], restartPolicy="OnFailure")
        await here.create(resolved(wanted, {"settings": _TREE}))
        await here.until(wanted, lambda status: status.containers[0].restart_count)
        fresh = {"colour": vk.File(b"red\n")}
        await here.provider.update_files(wanted.key, "settings", fresh)
        status = await here.until(wanted, lambda each: ended(each) and ended(each).exit_code == 0)
        assert (await here.log(wanted)).endswith("red\n"), status


@needs_bubblewrap
@pytest.mark.parametrize("path", ["absent", "absent/too", "deep/absent"])
async def test_a_sub_path_that_the_files_do_not_have_is_an_empty_folder(
    state: Path, path: str
) -> None:
    """As with a kubelet: what a chart mounts of an optional object must not keep the pod away."""
    async with node(state, isolation="bubblewrap") as here:
        wanted = pod(sh("sleep 1000", **mounted("/x", subPath=path)), volumes=[_SETTINGS])
        await here.create(resolved(wanted, {"settings": _TREE}))
        await here.until(wanted)
        assert await here.output(wanted, "test -d /x && ls -A /x") == ""


async def test_a_sub_path_below_a_file_is_refused(state: Path) -> None:
    async with node(state) as here:
        wanted = pod(sh("true", **mounted("/x", subPath="colour/of")), volumes=[_SETTINGS])
        with pytest.raises(vk.InvalidInputError, match="'settings' has a file above 'colour/of'"):
            await here.create(resolved(wanted, {"settings": _TREE}))


def linking(link: str) -> vk.Pod:
    """A pod whose first container puts a link at the subPath of the other."""
    first = sh(
        f"mkdir /v/there; rmdir /v/sub; ln -s {link} /v/sub",
        name="first",
        volumeMounts=[{"name": "settings", "mountPath": "/v"}],
    )
    mount = {"name": "settings", "mountPath": "/var/run/w", "subPath": "sub"}
    main = sh("echo x > /var/run/w/new; sleep 1000", volumeMounts=[mount])
    return pod(main, initContainers=[first], volumes=[{"name": "settings", "emptyDir": {}}])


@needs_bubblewrap
async def test_a_link_in_a_volume_leads_no_container_out_of_it(state: Path) -> None:
    """CVE-2017-1002101: bubblewrap follows links, and as vk's user."""
    host = state / "host"
    host.mkdir(mode=0o777)
    async with node(state, isolation="bubblewrap") as here:
        wanted = linking(str(host))
        await here.create(resolved(wanted, {}))
        end = ended(await here.until(wanted, ended))
        assert (end.reason, end.exit_code) == ("StartError", 128)
        assert "subPath 'sub' of" in end.message
        assert "a link leads out of the volume" in end.message
        assert list(host.iterdir()) == []


@needs_bubblewrap
async def test_a_link_that_stays_in_its_volume_is_followed(state: Path) -> None:
    async with node(state, isolation="bubblewrap") as here:
        wanted = linking("there")
        await here.create(resolved(wanted, {}))
        await here.until(wanted)
        await here.output(wanted, "until test -s /var/run/w/new; do :; done")
        assert (here.folder(wanted, "files") / "volumes/settings/there/new").exists()


@both_ways
async def test_no_folder_is_made_where_a_link_leads_out_of_a_volume(
    state: Path, isolation: str
) -> None:
    """A claim's folder keeps what earlier pods made in it."""
    data, host = state / "data", state / "host"
    for folder in (data, host):
        folder.mkdir()
    (data / "out").symlink_to(host)
    claim = {"name": "settings", "persistentVolumeClaim": {"claimName": "c"}}
    found = {"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": str(data)}}}
    async with node(state / "vk", isolation=isolation) as here:
        wanted = pod(sh("true", **mounted("/data", subPath="out/new")), volumes=[claim])
        with pytest.raises(vk.InvalidInputError, match="'out/new': a link leads out"):
            await here.create(resolved(wanted, {}, {"settings": found}))
    assert list(host.iterdir()) == []


@needs_bubblewrap
async def test_other_volumes_can_be_mounted_in_a_volume_of_files(state: Path) -> None:
    """A folder, and one file, at places that the files do not have."""
    async with node(state, isolation="bubblewrap") as here:
        mounts = [
            {"name": "settings", "mountPath": "/conf"},
            {"name": "cache", "mountPath": "/conf/cache/of"},
            {"name": "more", "mountPath": "/conf/extra", "subPath": "size"},
        ]
        more = {"name": "more", "secret": {"secretName": "x"}}
        volumes = [_SETTINGS, more, {"name": "cache", "emptyDir": {}}]
        wanted = pod(sh("sleep 1000", volumeMounts=mounts), volumes=volumes)
        files = {"settings": _TREE, "more": {"size": vk.File(b"9\n")}}
        await here.create(resolved(wanted, files))
        await here.until(wanted)
        script = "cd /conf; echo kept > cache/of/f; cat colour cache/of/f extra"
        assert await here.output(wanted, script) == "green\nkept\n9\n"
        fresh = {"colour": vk.File(b"red\n"), "extra": vk.File(b"covered\n")}
        await here.provider.update_files(wanted.key, "settings", fresh)
        assert await here.output(wanted, "cd /conf; cat colour cache/of/f extra") == (
            "red\nkept\n9\n"
        )


@both_ways
async def test_a_claim_is_the_folder_of_the_machine_that_its_volume_names(
    state: Path, isolation: str
) -> None:
    data, claim = state / "data", {"name": "settings", "persistentVolumeClaim": {"claimName": "c"}}
    found = {"metadata": {"name": "pv"}, "spec": {"hostPath": {"path": str(data)}}}
    async with node(state / "vk", isolation=isolation) as here:
        place = "/data" if isolation == "bubblewrap" else "$VK_VOLUMES/settings"
        wanted = pod(sh(f"echo kept > {place}/f", **mounted("/data")), volumes=[claim])
        await here.create(resolved(wanted, {}, {"settings": found}))
        assert ended(await here.until(wanted, ended)).exit_code == 0
        assert (data / "f").read_text() == "kept\n"
        await here.end(wanted)
        assert (data / "f").exists()  # what a claim keeps outlives the pod


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"nfs": {"server": "s", "path": "/p"}}, "expected a PersistentVolume of kind hostPath"),
        ({"local": {"path": "/nowhere/at/all"}}, "/nowhere/at/all does not exist on this machine"),
        (
            {"hostPath": {"path": "/nowhere/at/all", "type": "Directory"}},
            "/nowhere/at/all does not exist on this machine",
        ),
    ],
)
async def test_a_claim_for_what_is_not_here_is_refused(
    state: Path, spec: dict[str, Any], told: str
) -> None:
    claim = {"name": "settings", "persistentVolumeClaim": {"claimName": "c"}}
    async with node(state) as here:
        wanted = pod(sh("true"), volumes=[claim])
        with pytest.raises(vk.PermanentError, match=told):
            await here.create(resolved(wanted, {}, {"settings": {"spec": spec}}))


@needs_root
@both_ways
async def test_another_user_reads_the_files_that_are_his_and_no_others(
    state: Path, isolation: str
) -> None:
    async with node(state, isolation=isolation) as here:
        place = "/conf" if isolation == "bubblewrap" else '"$VK_VOLUMES/settings"'
        tree = {
            "mine": vk.File(b"mine\n", mode=0o600, uid=12345),
            "ours": vk.File(b"ours\n", mode=0o440, gid=34567),
            "roots": vk.File(b"roots\n", mode=0o400),
        }
        context = {"runAsUser": 12345, "fsGroup": 34567}
        wanted = pod(
            sh("sleep 1000", **mounted("/conf")), volumes=[_SETTINGS], securityContext=context
        )
        await here.create(resolved(wanted, {"settings": tree}))
        await here.until(wanted)
        said = await here.output(wanted, f"cd {place}; cat mine ours roots")
        assert said.startswith("mine\nours\n")
        assert "denied" in said


async def test_files_of_a_pod_that_is_gone_are_not_written(state: Path) -> None:
    async with node(state) as here:
        with pytest.raises(vk.NotFoundError):
            await here.provider.update_files(pod(sh("true")).key, "settings", _TREE)


async def test_files_last_over_a_restart_of_vk_and_still_change(state: Path) -> None:
    wanted = pod(sh("sleep 1000", **mounted("/conf")), volumes=[_SETTINGS])
    async with node(state, keep=True) as first:
        await first.create(resolved(wanted, {"settings": _TREE}))
        await first.until(wanted, is_up)
    async with node(state, objects=first.pods) as second:
        assert await second.output(wanted, 'cat "$VK_VOLUMES/settings/colour"') == "green\n"
        await second.provider.update_files(wanted.key, "settings", {"colour": vk.File(b"red\n")})
        assert await second.output(wanted, 'cat "$VK_VOLUMES/settings/colour"') == "red\n"
