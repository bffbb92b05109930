"""The ECI emulator as a process of its own: killing a node never loses its ledger."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs


@attrs.frozen
class Emulator:
    """A running emulator."""

    url: str

    def settings(self) -> dict[str, str]:
        """Return what tells a node to take it for the service, all but the access key."""
        products = ("endpoint", "sts_endpoint", "vpc_endpoint", "ecs_endpoint", "metadata_endpoint")
        return {
            **dict.fromkeys(products, self.url),
            "region": "cn-hangzhou",
            "vswitches": "vsw-emulator-h,vsw-emulator-i,vsw-emulator-j",
            "security_group": "sg-emulator",
            "poll": "1",
            "list_lag": "2",
        }

    def flags(self, **more: str) -> tuple[str, ...]:
        """Return the same as flags, with the access key and ``more``."""
        key = {"access_key": "emulator", "secret_key": "emulator-secret"}
        pairs = (
            ("--set", f"{name}={text}") for name, text in (self.settings() | key | more).items()
        )
        return tuple(part for pair in pairs for part in pair)

    def ledger(self) -> dict[str, Any]:
        """Return every call and every group."""
        with urllib.request.urlopen(f"{self.url}/emulator/ledger", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def set_faults(self, *faults: dict[str, Any]) -> None:
        """Set these faults in place of those before."""
        body = json.dumps({"faults": faults}).encode()
        request = urllib.request.Request(f"{self.url}/emulator/faults", body, method="PUT")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def living(self) -> list[str]:
        """Return the ids of the groups that have not ended."""
        return [group["id"] for group in self.ledger()["groups"] if group["ended"] is None]

    def calls(self, action: str, *, code: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of one action; with ``code`` those that were answered by it."""
        calls = [call for call in self.ledger()["calls"] if call["action"] == action]
        return calls if code is None else [call for call in calls if call["code"] == code]


@contextmanager
def emulator(*options: str) -> Iterator[Emulator]:
    """Run an emulator until the block ends."""
    module = "vk_providers.alibabacloud.emulator"
    command = [sys.executable, "-m", module, "--stop-at-eof", *options]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = re.search(r"http://[0-9.]+:[0-9]+", process.stdout.readline().decode())
        try:
            assert found is not None, "the emulator did not start"
            yield Emulator(found[0])
        finally:
            process.terminate()
            process.wait(20)
