"""The emulated cloud with a clock that the test moves; calls are signed but need no socket."""

import time
from typing import Any

import attrs
import orjson
from eci_client import Refused, signature

from vk_providers.alibabacloud.emulator.actions import ACTIONS
from vk_providers.alibabacloud.emulator.cloud import Cloud
from vk_providers.alibabacloud.emulator.faults import read_faults
from vk_providers.alibabacloud.emulator.ledger import billed_twice, living
from vk_providers.alibabacloud.emulator.rpc import ApiResponse, Rpc
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings

START = 1_800_000_000.0


class Dropped(Exception):
    """No answer came."""


@attrs.define(eq=False)
class Simulation:
    """A cloud, and the moment that it is there."""

    settings: EmulatorSettings = attrs.field(factory=lambda: EmulatorSettings(rates=0, seed=1))
    now: float = START
    cloud: Cloud = attrs.field(init=False)
    rpc: Rpc = attrs.field(init=False)
    _nonce: int = 0

    def __attrs_post_init__(self) -> None:
        self.cloud = Cloud(self.settings, lambda: self.now)
        self.rpc = Rpc(self.cloud, ACTIONS)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds

    def faults(self, *faults: dict[str, Any]) -> None:
        """Set faults as the PUT does."""
        self.cloud.faults.all = read_faults({"faults": list(faults)})

    def answer(self, action: str, parameters: dict[str, str], version: str) -> ApiResponse:
        """Sign, send, return the answer."""
        self._nonce += 1
        full = {
            **parameters,
            "Action": action,
            "Version": version,
            "Format": "JSON",
            "RegionId": self.settings.region,
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now)),
            "SignatureMethod": "HMAC-SHA1",
            "SignatureVersion": "1.0",
            "SignatureNonce": str(self._nonce),
            "AccessKeyId": self.settings.access_key_id,
        }
        full["Signature"] = signature("POST", full, self.settings.access_key_secret)
        begun = self.rpc.begin("POST", full, "http://127.0.0.1:1")
        return begun if isinstance(begun, ApiResponse) else self.rpc.perform(begun)

    def call(self, action: str, version: str = "2018-08-08", **parameters: Any) -> dict[str, Any]:
        """Call; ``__`` in a name stands for a dot. Raises `Refused` and `Dropped`."""
        named = {name.replace("__", "."): str(value) for name, value in parameters.items()}
        answer = self.answer(action, named, version)
        if answer.dropped:
            raise Dropped
        document: dict[str, Any] = orjson.loads(answer.body)
        if answer.status != 200:
            raise Refused(answer.status, document)
        return document

    def create(self, *command: str, uid: str = "u1", **more: Any) -> str:
        """Create a group of one container with this command; return its id."""
        words = {f"Container__1__Command__{n}": word for n, word in enumerate(command, 1)}
        asked = {
            "ContainerGroupName": "default-web",
            "Container__1__Name": "main",
            "Container__1__Image": "nginx:1.27",
            "Tag__1__Key": "pod-uid",
            "Tag__1__Value": uid,
            **words,
            **more,
        }
        return str(self.call("CreateContainerGroup", **asked)["ContainerGroupId"])

    def row(self, id: str) -> dict[str, Any]:
        """Return the group's row with its events."""
        ids = orjson.dumps([id]).decode()
        answer = self.call("DescribeContainerGroups", ContainerGroupIds=ids, WithEvent="true")
        (row,) = answer["ContainerGroups"]
        return dict(row)

    def status(self, id: str) -> str:
        """Return the group's status."""
        return str(self.row(id)["Status"])

    def container(self, id: str) -> dict[str, Any]:
        """Return the row of its first container."""
        return dict(self.row(id)["Containers"][0])

    def ids(self, **parameters: Any) -> list[str]:
        """Return the ids on a page of groups."""
        rows = self.call("DescribeContainerGroups", **parameters)["ContainerGroups"]
        return [row["ContainerGroupId"] for row in rows]

    def reasons(self, id: str) -> list[str]:
        """Return the reasons of its events, in order."""
        return [event["Reason"] for event in self.row(id)["Events"]]

    def ledger(self) -> dict[str, Any]:
        """Return the ledger."""
        self.cloud.timeline.now()
        return self.cloud.ledger.document()

    def doubles(self) -> list[str]:
        """Return the pod UIDs that were billed twice at a time."""
        return billed_twice(self.ledger())

    def living(self) -> list[str]:
        """Return the ids of the groups that have not ended."""
        return [group["id"] for group in living(self.ledger())]
