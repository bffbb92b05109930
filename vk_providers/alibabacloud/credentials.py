"""Credentials by the vendor's chain, renewed well before they expire.

Order of the sources: the configuration (ECI_ACCESS_KEY, ECI_SECRET_KEY), the variables
ALIBABA_CLOUD_ACCESS_KEY_ID and _SECRET, a pod's OIDC token (RRSA), a profile file, the RAM role of
the machine. The source that was found first stays in use; the chain is only searched again while
no source has been found.
"""

from __future__ import annotations

import asyncio
import configparser
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import httpx
import orjson

import vk
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.endpoints import endpoint
from vk_providers.alibabacloud.instance_metadata import InstanceMetadata

__all__ = ["ApiCredentials", "CredentialChain", "CredentialSource", "credential_chain"]

_AHEAD = 900.0
"""Seconds before the expiry at which credentials are renewed; the old ones stay valid."""
_LAST = 60.0
"""Seconds before the expiry at which credentials are no longer used."""
_PAUSE = 30.0
"""Seconds after a renewal in which valid credentials are not renewed again."""


@attrs.frozen(kw_only=True)
class ApiCredentials:
    """An access key; ``expires`` in seconds since 1970, None: never."""

    access_key: str
    secret_key: str = attrs.field(repr=False)
    token: str = attrs.field(default="", repr=False)
    expires: float | None = None

    def lasts(self, seconds: float) -> bool:
        """Return whether they stay valid for that long."""
        return self.expires is None or self.expires - time.time() > seconds


@attrs.frozen
class CredentialSource:
    """A source of credentials: its display name and a reader (None: not configured)."""

    name: str
    read: Callable[[], Awaitable[ApiCredentials | None]]


@attrs.define(eq=False)
class CredentialChain:
    """Provides valid credentials; concurrent callers share one renewal."""

    sources: Sequence[CredentialSource]
    pause: float = _PAUSE
    found: str = attrs.field(default="", init=False)
    """Name of the source in use; empty: none yet."""
    _current: ApiCredentials | None = attrs.field(default=None, init=False)
    _asked_at: float = attrs.field(default=float("-inf"), init=False)
    _lock: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False)

    async def get(self) -> ApiCredentials:
        """Return credentials. Raises ConfigError, naming all sources, where none has any.

        Raises TemporaryError where the source in use fails and the old ones have expired.
        """
        if (current := self._usable()) is not None:
            return current
        async with self._lock:
            return self._usable() or await self._fetch()

    def forget(self, refused: ApiCredentials) -> None:
        """Discard credentials that the service rejected; the next call renews them."""
        if self._current is refused:
            self._current = None

    def _usable(self) -> ApiCredentials | None:
        """Return credentials that need no renewal now, or None."""
        lately = asyncio.get_running_loop().time() - self._asked_at < self.pause
        current, least = self._current, _LAST if lately else _AHEAD
        return current if current is not None and current.lasts(least) else None

    async def _fetch(self) -> ApiCredentials:
        old = self._current if self._current and self._current.lasts(_LAST) else None
        try:
            self._current = await self._read() or old
        except vk.TemporaryError:
            if old is None:
                raise
        self._asked_at = asyncio.get_running_loop().time()
        if self._current is not None:
            return self._current
        if self.found:
            raise vk.TemporaryError(f"no credentials from {self.found} now", retry_after=15.0)
        names = "; ".join(source.name for source in self.sources)
        raise vk.ConfigError(f"no credentials: expected them in one of: {names}")

    async def _read(self) -> ApiCredentials | None:
        """Read the source in use, or all of them in order until one has credentials.

        A configured source that fails is not skipped: the next one might be another identity.
        """
        for source in self.sources:
            if self.found in ("", source.name) and (fresh := await source.read()) is not None:
                self.found = source.name
                return fresh
        return None


_ROLE = "ram/security-credentials/"
_OIDC = (
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
_PLAIN = ("AK", "StsToken", "access_key", "sts")
"""Modes of profiles whose access key is used directly."""


def credential_chain(
    config: EciConfig,
    *,
    environment: Mapping[str, str],
    http: httpx.AsyncClient,
    metadata: InstanceMetadata,
) -> CredentialChain:
    """Return the chain of ``config`` and ``environment``."""
    return CredentialChain(
        (
            CredentialSource("ECI_ACCESS_KEY and ECI_SECRET_KEY", partial(_given, config)),
            CredentialSource(
                "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                partial(_variables, environment),
            ),
            CredentialSource(
                f"an OIDC token ({', '.join(_OIDC)})", partial(_oidc, config, environment, http)
            ),
            CredentialSource(
                "a profile file (~/.aliyun/config.json)", partial(_profile_file, environment)
            ),
            CredentialSource("the machine's RAM role", partial(_ram_role, environment, metadata)),
        )
    )


async def _given(config: EciConfig) -> ApiCredentials | None:
    if bool(config.access_key) != bool(config.secret_key):
        missing = "ECI_SECRET_KEY" if config.access_key else "ECI_ACCESS_KEY"
        raise vk.ConfigError(f"{missing}: required together with the other half of the key pair")
    return _key(config.access_key, config.secret_key, config.security_token)


async def _variables(environment: Mapping[str, str]) -> ApiCredentials | None:
    names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
    return _key(*(environment.get(f"ALIBABA_CLOUD_{name}", "") for name in names))


def _key(access_key: str, secret_key: str, token: str) -> ApiCredentials | None:
    if not access_key or not secret_key:
        return None
    return ApiCredentials(access_key=access_key, secret_key=secret_key, token=token)


async def _oidc(
    config: EciConfig, environment: Mapping[str, str], http: httpx.AsyncClient
) -> ApiCredentials | None:
    role, provider, file = (environment.get(name, "") for name in _OIDC)
    if not (role and provider and file):
        return None
    try:
        token = (await asyncio.to_thread(Path(file).read_text)).strip()
    except OSError as error:
        raise vk.TemporaryError(f"{_OIDC[2]}: {error.strerror}") from None
    in_vpc = environment.get("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "").lower() == "true"
    region = environment.get("ALIBABA_CLOUD_STS_REGION") or config.region
    url = endpoint(
        "sts", region, network="vpc" if in_vpc else config.network, override=config.sts_endpoint
    )
    form = {
        "Action": "AssumeRoleWithOIDC",
        "Format": "JSON",
        "Version": "2015-04-01",
        "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "DurationSeconds": "3600",
        "RoleArn": role,
        "OIDCProviderArn": provider,
        "OIDCToken": token,
        "RoleSessionName": environment.get("ALIBABA_CLOUD_ROLE_SESSION_NAME") or "vk",
    }
    try:
        answer = await http.post(url, data=form)
        return _temporary(orjson.loads(answer.content)["Credentials"])
    except (httpx.HTTPError, orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise vk.TemporaryError("AssumeRoleWithOIDC returned no credentials") from None


async def _ram_role(
    environment: Mapping[str, str], metadata: InstanceMetadata
) -> ApiCredentials | None:
    role = environment.get("ALIBABA_CLOUD_ECS_METADATA") or await metadata.get(_ROLE)
    text = await metadata.get(_ROLE + role) if role else ""
    if not text:
        return None
    try:
        return _temporary(orjson.loads(text))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise vk.TemporaryError(
            f"the metadata of RAM role {role} contains no credentials"
        ) from None


def _temporary(fields: Mapping[str, Any]) -> ApiCredentials:
    expires = datetime.fromisoformat(fields["Expiration"])
    return ApiCredentials(
        access_key=fields["AccessKeyId"],
        secret_key=fields["AccessKeySecret"],
        token=fields["SecurityToken"],
        expires=expires.timestamp(),
    )


async def _profile_file(environment: Mapping[str, str]) -> ApiCredentials | None:
    wanted = environment.get("ALIBABA_CLOUD_PROFILE", "")
    return await asyncio.to_thread(_from_files, environment, wanted)


def _from_files(environment: Mapping[str, str], wanted: str) -> ApiCredentials | None:
    home = Path(environment.get("HOME") or "/nonexistent")
    given = environment.get("ALIBABA_CLOUD_CREDENTIALS_FILE", "")
    ini = Path(given) if given else home / ".alibabacloud" / "credentials"
    return _from_cli(home / ".aliyun" / "config.json", wanted) or _from_ini(ini, wanted)


def _from_cli(path: Path, wanted: str) -> ApiCredentials | None:
    try:
        content = orjson.loads(path.read_bytes())
        name = wanted or content.get("current") or "default"
        one = next(item for item in content.get("profiles") or () if item.get("name") == name)
    except (OSError, orjson.JSONDecodeError, AttributeError, StopIteration):
        return None
    token = one.get("sts_token") or ""
    _check_kind(path, one.get("mode"), one.get("access_key_id"))
    return _key(one.get("access_key_id") or "", one.get("access_key_secret") or "", token)


def _from_ini(path: Path, wanted: str) -> ApiCredentials | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        one = parser[wanted or "default"]
    except (OSError, UnicodeError, configparser.Error, KeyError):
        return None
    _check_kind(path, one.get("type"), one.get("access_key_id"))
    return _key(one.get("access_key_id", ""), one.get("access_key_secret", ""), "")


def _check_kind(path: Path, kind: object, access_key: object) -> None:
    """Reject a profile whose access key is only used to assume another identity."""
    if access_key and kind not in (None, "", *_PLAIN):
        text = f"{path}: a profile of mode {kind} is not supported: expected an access key"
        raise vk.ConfigError(text)
