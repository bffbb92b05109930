"""A client of the emulator that shares nothing with it: it signs as the specification says."""

import base64
import hashlib
import hmac
import itertools
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import attrs

from vk_providers.alibabacloud import emulator

ECI = "2018-08-08"
_nonces = itertools.count()


class Refused(Exception):
    """The answer was an error."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(f"{status} {document['Code']}")
        self.status = status
        self.code = document["Code"]
        self.message = document["Message"]


def encoded(text: str) -> str:
    """Percent-encode as RFC 3986 says."""
    return quote(text, safe="~")


def signature(method: str, parameters: Mapping[str, str], secret: str) -> str:
    """Compute the signature of version 1.0, step by step as it is documented."""
    pairs = []
    for name in sorted(parameters):
        pairs.append(encoded(name) + "=" + encoded(parameters[name]))
    text = method + "&" + encoded("/") + "&" + encoded("&".join(pairs))
    key = (secret + "&").encode("utf-8")
    return base64.b64encode(hmac.new(key, text.encode("utf-8"), hashlib.sha1).digest()).decode()


@attrs.define
class Client:
    """Calls one emulator with one credential."""

    url: str
    session: aiohttp.ClientSession
    id: str = "emulator"
    secret: str = "emulator-secret"
    token: str = ""
    version: str = ECI

    def signed(
        self, action: str, parameters: Mapping[str, str], method: str = "POST", **common: str
    ) -> dict[str, str]:
        """Return all parameters of a call, signed; ``common`` replaces some of them."""
        full = {
            **parameters,
            "Action": action,
            "Version": self.version,
            "Format": "JSON",
            "RegionId": "cn-hangzhou",
            "Timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "SignatureMethod": "HMAC-SHA1",
            "SignatureType": "",
            "SignatureVersion": "1.0",
            "SignatureNonce": f"nonce-{next(_nonces)}",
            "AccessKeyId": self.id,
            **({"SecurityToken": self.token} if self.token else {}),
            **common,
        }
        return {**full, "Signature": signature(method, full, self.secret)}

    async def send(self, parameters: Mapping[str, str], method: str = "POST") -> dict[str, Any]:
        """Send parameters as they are. Raises `Refused`."""
        text = urlencode(parameters)
        query, body = ("", text) if method == "POST" else (f"?{text}", None)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.session.request(
            method, f"{self.url}/{query}", data=body, headers=headers
        ) as response:
            document: dict[str, Any] = await response.json()
            if response.status != 200:
                raise Refused(response.status, document)
            return document

    async def call(self, action: str, **parameters: Any) -> dict[str, Any]:
        """Call an action; ``__`` in a name stands for a dot. Raises `Refused`."""
        named = {name.replace("__", "."): str(value) for name, value in parameters.items()}
        return await self.send(self.signed(action, named))

    async def create(self, uid: str = "u1", command: str = "", **more: Any) -> str:
        """Create a group of one container; return its id."""
        words = {f"Container.1.Command.{n}": w for n, w in enumerate(command.split(), 1)}
        parameters = {
            "ContainerGroupName": "default-web",
            "Container.1.Name": "main",
            "Container.1.Image": "nginx:1.27",
            "Tag.1.Key": "pod-uid",
            "Tag.1.Value": uid,
            **words,
            **{name.replace("__", "."): str(value) for name, value in more.items()},
        }
        answer = await self.send(self.signed("CreateContainerGroup", parameters))
        return str(answer["ContainerGroupId"])

    async def group(self, id: str) -> dict[str, Any]:
        """Return the group's row, with its events."""
        answer = await self.call(
            "DescribeContainerGroups", ContainerGroupIds=f'["{id}"]', WithEvent="true"
        )
        (row,) = answer["ContainerGroups"]
        return dict(row)


def client_of(running: emulator.RunningEmulator, session: aiohttp.ClientSession) -> Client:
    """Return a client with the emulator's own access key."""
    settings = running.settings
    return Client(running.url, session, settings.access_key_id, settings.access_key_secret)
