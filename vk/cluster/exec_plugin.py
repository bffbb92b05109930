"""Credentials from a program: the ``exec`` of a kubeconfig's user, as client-go runs it.

In: that entry and the cluster. Out: a token or a client certificate, asked for again shortly before
it expires. The program's standard input is empty: vk has no terminal to lend.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import orjson

from vk.errors import ConfigError
from vk.models.pod import Json
from vk.models.time import parse_time

__all__ = ["ExecPlugin"]

_EARLY = timedelta(minutes=5)
_CLUSTER = (
    "server",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "certificate-authority-data",
    "proxy-url",
    "disable-compression",
)


@attrs.define(eq=False)
class ExecPlugin:
    """One user's program. `credential` may be called at any time; it runs the program when due."""

    config: Json
    cluster: Json
    expires: datetime | None = attrs.field(default=None, init=False)
    """When the last credential expires; None: it names no time."""
    _last: dict[str, str] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.config.get("interactiveMode") == "Always":
            raise ConfigError("exec: interactiveMode Always needs a terminal, and there is none")

    async def credential(self, force: bool) -> dict[str, str]:
        """Return fields of a kubeconfig's user. Raises ConfigError with what the program wrote."""
        now = datetime.now(UTC)
        fresh = self.expires is not None and self.expires - _EARLY > now
        if not self._last or force or not fresh:
            status = await self._run()
            self.expires = parse_time(status.get("expirationTimestamp"))
            self._last = _fields(status)
        return self._last

    async def _run(self) -> Mapping[str, Any]:
        command = [str(self.config["command"]), *map(str, self.config.get("args") or ())]
        try:
            child = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=self._environment()
            )
        except OSError as error:
            hint = " ".join(str(self.config.get("installHint") or "").split())
            text = f"exec: {command[0]}: {error.strerror or error}"
            raise ConfigError(f"{text}; {hint}" if hint else text) from None
        try:
            out, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        if child.returncode:
            last = errors.decode(errors="replace").strip()[-200:]
            raise ConfigError(f"exec: {command[0]} ended with {child.returncode}: {last}")
        return self._status(out)

    def _environment(self) -> dict[str, str]:
        spec: dict[str, Any] = {"interactive": False}
        if self.config.get("provideClusterInfo"):
            spec["cluster"] = self._cluster_info()
        info = {"apiVersion": self.config["apiVersion"], "kind": "ExecCredential", "spec": spec}
        own = {str(one["name"]): str(one["value"]) for one in self.config.get("env") or ()}
        return {**os.environ, **own, "KUBERNETES_EXEC_INFO": orjson.dumps(info).decode()}

    def _cluster_info(self) -> dict[str, Any]:
        found = {name: self.cluster[name] for name in _CLUSTER if name in self.cluster}
        path = self.cluster.get("certificate-authority")
        if path and "certificate-authority-data" not in found:
            found["certificate-authority-data"] = b64encode(Path(path).read_bytes()).decode()
        for one in self.cluster.get("extensions") or ():
            if one.get("name") == "client.authentication.k8s.io/exec":
                found["config"] = one.get("extension")
        return found

    def _status(self, out: bytes) -> Mapping[str, Any]:
        try:
            answer = orjson.loads(out)
            version, status = answer["apiVersion"], answer["status"]
        except (ValueError, KeyError, TypeError):
            raise ConfigError("exec: expected an ExecCredential with a status") from None
        if version != self.config["apiVersion"]:
            raise ConfigError(
                f"exec: expected apiVersion {self.config['apiVersion']}, found {version}"
            )
        if not isinstance(status, Mapping):
            raise ConfigError("exec: expected an ExecCredential with a status")
        return status


def _fields(status: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if status.get("token"):
        found["token"] = str(status["token"])
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if bool(certificate) != bool(key):
        raise ConfigError("exec: expected clientCertificateData and clientKeyData, found one")
    if certificate and key:
        found["client-certificate-data"] = b64encode(str(certificate).encode()).decode()
        found["client-key-data"] = b64encode(str(key).encode()).decode()
    if not found:
        raise ConfigError("exec: expected a token or a client certificate in the status")
    return found
