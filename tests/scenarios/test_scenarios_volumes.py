"""What pods refer to, on both API servers: missing, appearing, changing and going objects.

A node looks at what its pods refer to once a minute, and uses for a waiting pod what it has read
within 10 seconds; here both is a second.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from scenarios_world import NODE, PROCESSES, TAINT, Node, World

from vk.cluster.client import Client
from vk.cluster.config import load_access
from vk.errors import ObjectNotFoundError
from vk.models.keys import PodKey
from vk.pods.resolve.tokens import MANY, Bindings
from vk_providers.process.config import ProcessConfig
from vk_providers.process.provider import ProcessProvider

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed"
)

Json = dict[str, Any]
EVERY = 1.0
BYTES = bytes(range(256))
AWAY = "scenarios-away"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


@pytest.fixture(scope="module", autouse=True)
def often() -> Iterator[None]:
    """Let nodes look every second for what changed, so that no test takes minutes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vk.pods.sync.live_files.EVERY", EVERY)
        patch.setattr("vk.pods.resolve.references.KEEP", EVERY)
        yield


@pytest.fixture(scope="module")
def disk() -> Iterator[Path]:
    """A folder for pods and claims that is not below /tmp, which containers have for themselves."""
    folder = Path(tempfile.mkdtemp(prefix="vk-scenarios-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(world: World, disk: Path) -> AsyncIterator[None]:
    """A node beside the other whose pods are processes, which mount what they refer to."""
    config = ProcessConfig(state=str(disk / "pods"), isolation="bubblewrap")
    node = Node(world.node.account, world.node.folder, PROCESSES, ProcessProvider, config)
    await node.start()
    yield
    await node.stop()
    await world.kubectl("delete", "node", PROCESSES)


def thing(kind: str, name: str, **fields: Any) -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields})


def pod(*volumes: Json, name: str = "one", node: str = NODE, **spec: Any) -> str:
    """Return a pod that has each volume mounted at ``/NAME``; no scheduler looks at it."""
    mounts = [{"name": one["name"], "mountPath": f"/{one['name']}"} for one in volumes]
    main = {"name": "main", "image": "nginx", "volumeMounts": mounts}
    if node == PROCESSES:
        main["command"] = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"]
    wanted: Json = {
        "nodeName": node,
        "tolerations": [{"key": TAINT, "operator": "Exists"}],
        "terminationGracePeriodSeconds": 2,
        "automountServiceAccountToken": False,
        "containers": [main],
        "volumes": volumes,
        **spec,
    }
    return thing("Pod", name, spec=wanted)


def config_map(name: str, **more: Any) -> Json:
    return {"name": name, "configMap": {"name": name, **more}}


def secret(name: str, **more: Any) -> Json:
    return {"name": name, "secret": {"secretName": name, **more}}


async def execute(world: World, namespace: str, *command: str) -> bytes:
    """Return what a command prints in the pod, as bytes."""
    words = ("exec", f"-n={namespace}", "one", "-c=main", "--", *command)
    return (await world.kubectl.run(*words)).out


async def run(world: World, namespace: str, *command: str) -> str:
    """Return what a command prints in the pod."""
    return (await execute(world, namespace, *command)).decode()


async def until_shows(world: World, namespace: str, path: str, content: str) -> None:
    async def shows() -> bool:
        return await run(world, namespace, "cat", path) == content

    await world.until(shows)


async def until_told(world: World, namespace: str, text: str) -> None:
    """Wait for an event of the pod."""

    async def told() -> bool:
        return text in await world.path("{.items[*].message}", "events", f"-n={namespace}")

    await world.until(told)


async def reads(world: World, plural: str) -> int:
    """Return how often the API server was asked for one object of a kind, by its own count."""
    text = await world.kubectl("get", "--raw", "/metrics")
    counts = re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE)
    wanted = {f'resource="{plural}"', 'verb="GET"'}
    return sum(int(float(count)) for labels, count in counts if wanted <= {*labels.split(",")})


async def until_alone(world: World, namespace: str) -> None:
    """Wait until the pods of earlier tests have gone, so that nothing is read for them."""

    async def alone() -> bool:
        others = f"--field-selector=metadata.namespace!={namespace}"
        nodes = await world.path("{.items[*].spec.nodeName}", "pods", "-A", others)
        return not {NODE, PROCESSES} & {*nodes.split()}

    await world.until(alone, seconds=120)


async def test_a_pod_starts_without_what_is_optional_and_missing(
    world: World, namespace: str
) -> None:
    """And has it once it is there."""
    optional = [config_map("settings", optional=True), secret("hush", optional=True)]
    await world.apply(pod(*optional), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    assert await run(world, namespace, "ls", "/settings", "/hush") == ""
    await world.apply(thing("ConfigMap", "settings", data={"colour": "green"}), namespace)
    await until_shows(world, namespace, "/settings/colour", "green")


@pytest.mark.parametrize(
    ("there", "volume", "needed", "told"),
    [
        (None, config_map("settings"), thing("ConfigMap", "settings", data={"key": "v"}), "found"),
        (None, secret("settings"), thing("Secret", "settings", stringData={"key": "v"}), "found"),
        (
            thing("ConfigMap", "settings", data={"other": "v"}),
            config_map("settings", items=[{"key": "key", "path": "key"}]),
            thing("ConfigMap", "settings", data={"key": "v"}),
            "key 'key' of ConfigMap 'settings' not found",
        ),
    ],
    ids=["config map", "secret", "key"],
)
async def test_a_pod_waits_for_what_it_requires_says_so_and_starts_once_it_is_there(
    world: World, namespace: str, there: str | None, volume: Json, needed: str, told: str
) -> None:
    if there is not None:
        await world.apply(there, namespace)
    await world.apply(pod(volume), namespace)
    reason = "{.status.containerStatuses[0].state.waiting.reason}=FailedMount"
    await world.wait("pod/one", f"jsonpath={reason}", namespace)
    assert await world.path("{.status.phase}", "pod", "one", f"-n={namespace}") == "Pending"
    await until_told(world, namespace, told)
    await world.apply(needed, namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    assert await run(world, namespace, "cat", "/settings/key") == "v"


@needs_bubblewrap
async def test_items_bytes_and_modes_are_as_the_pod_wants_them(
    world: World, namespace: str, processes: None
) -> None:
    raw = {"raw": b64encode(BYTES).decode()}
    await world.apply(thing("ConfigMap", "settings", data={"a": "x"}, binaryData=raw), namespace)
    await world.apply(thing("Secret", "hush", stringData={"password": "geheim"}), namespace)
    items = [{"key": "raw", "path": "deep/raw", "mode": 0o640}]
    volumes = [config_map("settings", items=items), secret("hush", defaultMode=0o400)]
    await world.apply(pod(*volumes, node=PROCESSES), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    assert await run(world, namespace, "ls", "/settings") == "deep\n"
    assert await execute(world, namespace, "cat", "/settings/deep/raw") == BYTES
    modes = ("stat", "-L", "-c", "%a", "/settings/deep/raw", "/hush/password")
    assert await run(world, namespace, *modes) == "640\n400\n"


async def test_a_changed_object_reaches_the_pod_and_an_immutable_one_is_read_once(
    world: World, namespace: str
) -> None:
    """Even where another object has taken its name."""
    fixed = {"data": {"colour": "green"}, "immutable": True}
    await world.apply(thing("ConfigMap", "settings", **fixed), namespace)
    await world.apply(thing("Secret", "hush", stringData={"password": "old"}), namespace)
    await until_alone(world, namespace)
    await world.apply(pod(config_map("settings"), secret("hush")), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    first = await reads(world, "configmaps"), await reads(world, "secrets")

    async def secret_is_read() -> bool:
        return await reads(world, "secrets") >= first[1] + 2

    await world.until(secret_is_read)
    assert await reads(world, "configmaps") == first[0]
    await world.kubectl("delete", "configmap", "settings", f"-n={namespace}")
    await world.apply(thing("ConfigMap", "settings", data={"colour": "red"}), namespace)
    await world.apply(thing("Secret", "hush", stringData={"password": "new"}), namespace)
    await until_shows(world, namespace, "/hush/password", "new")
    assert await run(world, namespace, "cat", "/settings/colour") == "green"


async def test_a_pod_keeps_the_files_of_a_secret_that_is_deleted(
    world: World, namespace: str
) -> None:
    await world.apply(thing("Secret", "hush", stringData={"password": "old"}), namespace)
    await world.apply(pod(secret("hush")), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    await world.kubectl("delete", "secret", "hush", f"-n={namespace}")
    await until_told(world, namespace, "Secret 'hush' not found; the pod keeps the files")
    assert await run(world, namespace, "cat", "/hush/password") == "old"
    ready = '{.status.phase} {.status.conditions[?(@.type=="Ready")].status}'
    assert await world.path(ready, "pod", "one", f"-n={namespace}") == "Running True"
    await world.apply(thing("Secret", "hush", stringData={"password": "new"}), namespace)
    await until_shows(world, namespace, "/hush/password", "new")


async def test_a_token_is_renewed_before_its_end(
    world: World, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two of its 600 seconds, which no API server shortens; the pod has it, and it counts."""
    monkeypatch.setattr("vk.pods.resolve.tokens._RENEW_AT", 1 / 300)
    source = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
    await world.apply(pod({"name": "own", "projected": {"sources": [source]}}), namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    first = await run(world, namespace, "cat", "/own/token")

    async def renewed() -> bool:
        return await run(world, namespace, "cat", "/own/token") != first

    await world.until(renewed)
    uid = await world.path("{.metadata.uid}", "pod", "one", f"-n={namespace}")
    for token in (first, await run(world, namespace, "cat", "/own/token")):
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview"}
        asked = json.dumps({**review, "spec": {"token": token}})
        said = await world.kubectl("create", "-f", "-", "-o=json", input=asked)
        user = json.loads(said)["status"]["user"]
        assert user["username"] == f"system:serviceaccount:{namespace}:default"
        assert user["extra"]["authentication.kubernetes.io/pod-uid"] == [uid]


CLAIM: Json = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "",
    "resources": {"requests": {"storage": "1Mi"}},
}


async def bind(world: World, namespace: str, claim: str, folder: Path) -> None:
    """Give a claim a volume and bind both, as a controller would, where there is none."""
    uid = await world.path("{.metadata.uid}", "pvc", claim, f"-n={namespace}")
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Mi"},
        "hostPath": {"path": str(folder)},
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
        "claimRef": {"namespace": namespace, "name": claim, "uid": uid},
    }
    volume = f"{namespace}-{claim}"
    await world.apply(thing("PersistentVolume", volume, spec=spec), namespace)
    if not world.controllers:
        patch = ("patch", "pvc", claim, f"-n={namespace}", "-p")
        await world.kubectl(*patch, json.dumps({"spec": {"volumeName": volume}}))
        status = json.dumps({"status": {"phase": "Bound"}})
        await world.kubectl(*patch, status, "--subresource=status")


@needs_bubblewrap
async def test_a_pod_waits_for_its_claim_to_be_bound(
    world: World, namespace: str, processes: None, disk: Path
) -> None:
    await world.apply(thing("PersistentVolumeClaim", "data", spec=CLAIM), namespace)
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    await world.apply(pod(volume, node=PROCESSES), namespace)
    await until_told(world, namespace, "PersistentVolumeClaim 'data' is not bound")
    assert await world.path("{.status.phase}", "pod", "one", f"-n={namespace}") == "Pending"
    await bind(world, namespace, "data", disk / namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    await run(world, namespace, "sh", "-c", "echo here > /data/file")
    assert (disk / namespace / "file").read_text() == "here\n"


@needs_bubblewrap
async def test_a_pod_has_the_claim_that_is_made_for_its_ephemeral_volume(
    world: World, namespace: str, processes: None, disk: Path
) -> None:
    volume = {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": CLAIM}}}
    await world.apply(pod(volume, node=PROCESSES), namespace)
    await until_told(world, namespace, "PersistentVolumeClaim 'one-scratch'")
    if not world.controllers:
        uid = await world.path("{.metadata.uid}", "pod", "one", f"-n={namespace}")
        owner = {"apiVersion": "v1", "kind": "Pod", "name": "one", "uid": uid, "controller": True}
        claim = json.loads(thing("PersistentVolumeClaim", "one-scratch", spec=CLAIM))
        claim["metadata"]["ownerReferences"] = [owner]
        await world.apply(json.dumps(claim), namespace)
    await world.wait("pvc/one-scratch", "create", namespace)
    await bind(world, namespace, "one-scratch", disk / namespace)
    await world.wait("pod/one", "condition=Ready", namespace)
    await run(world, namespace, "sh", "-c", "echo here > /scratch/file")
    assert (disk / namespace / "file").read_text() == "here\n"


async def test_a_thousand_pods_that_share_ten_config_maps_cost_ten_reads_each_time(
    world: World, namespace: str
) -> None:
    """Each time is once a minute, as long as it is not shortened.

    Forty reads are four times, of which the first may be half over: at least two lie between.
    """
    names = [f"settings-{number}" for number in range(10)]
    maps = [json.loads(thing("ConfigMap", name, data={"a": "b"})) for name in names]
    volumes = [config_map(name) for name in names]
    pods = [json.loads(pod(*volumes, name=f"pod-{number}")) for number in range(1000)]
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": [*maps, *pods]})
    await until_alone(world, namespace)
    await world.kubectl("create", f"-n={namespace}", "-f", "-", input=everything)

    async def all_run() -> bool:
        ready = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
        return (await world.path(ready, "pods", f"-n={namespace}")).split() == 1000 * ["True"]

    await world.until(all_run, seconds=120)
    clock = asyncio.get_running_loop().time
    began, first = clock(), await reads(world, "configmaps")

    async def forty() -> bool:
        return await reads(world, "configmaps") >= first + 40

    await world.until(forty, seconds=120)
    assert clock() - began >= 2 * EVERY


async def test_before_their_tokens_many_pods_are_read_live_by_one_list(
    world: World, namespace: str
) -> None:
    """Their node has no kubelet: only what this asks for is counted."""
    await until_alone(world, namespace)
    pods = [json.loads(pod(name=f"pod-{number}", node=AWAY)) for number in range(5 * MANY)]
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": pods})
    await world.kubectl("create", f"-n={namespace}", "-f", "-", input=everything)
    rows = "{range .items[*]}{.metadata.name} {.metadata.uid}{'\\n'}{end}"
    said = await world.path(rows, "pods", f"-n={namespace}")
    keys = [PodKey(namespace, *row.split()) for row in said.splitlines()]
    await world.kubectl("delete", "pod", "pod-0", f"-n={namespace}", "--force", "--grace-period=0")
    access = await load_access(str(world.node.account))
    async with Client(access, user_agent="vk-scenarios") as client:
        bindings = Bindings(client=client, node_name=AWAY)
        others = Bindings(client=client, node_name=NODE)
        before = await reads(world, "pods")
        found = await asyncio.gather(*map(bindings.is_here, keys), return_exceptions=True)
        assert await reads(world, "pods") < before + 2 * MANY
        gone = keys.index(next(key for key in keys if key.name == "pod-0"))
        assert isinstance(found.pop(gone), ObjectNotFoundError)
        assert found == (len(keys) - 1) * [True]
        keys.pop(gone)
        assert await asyncio.gather(*map(others.is_here, keys)) == len(keys) * [False]
