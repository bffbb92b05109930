"""The places where credentials may be: each a function that reads one. See `credentials`."""

from __future__ import annotations

import asyncio
import configparser
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson

import vk
from vk_providers.alibabacloud.config import EciConfig
from vk_providers.alibabacloud.credentials import CredentialChain, Credentials, Source
from vk_providers.alibabacloud.endpoints import endpoint
from vk_providers.alibabacloud.metadata import InstanceMetadata

__all__ = ["credential_chain"]

_ROLE = "ram/security-credentials/"
_OIDC = (
    "ALIBABA_CLOUD_ROLE_ARN",
    "ALIBABA_CLOUD_OIDC_PROVIDER_ARN",
    "ALIBABA_CLOUD_OIDC_TOKEN_FILE",
)
_PLAIN = ("AK", "StsToken", "access_key", "sts")
"""Kinds of profiles whose key is used as it is."""


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
            Source("ECI_ACCESS_KEY and ECI_SECRET_KEY", partial(_given, config)),
            Source(
                "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET",
                partial(_variables, environment),
            ),
            Source(
                f"an OIDC token ({', '.join(_OIDC)})", partial(_oidc, config, environment, http)
            ),
            Source("a profile file (~/.aliyun/config.json)", partial(_profile, environment)),
            Source("the machine's RAM role", partial(_ram_role, environment, metadata)),
        )
    )


async def _given(config: EciConfig) -> Credentials | None:
    if bool(config.access_key) != bool(config.secret_key):
        missing = "ECI_SECRET_KEY" if config.access_key else "ECI_ACCESS_KEY"
        raise vk.ConfigError(f"{missing}: expected a value, since the other half is given")
    return _key(config.access_key, config.secret_key, config.security_token)


async def _variables(environment: Mapping[str, str]) -> Credentials | None:
    names = ("ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "SECURITY_TOKEN")
    return _key(*(environment.get(f"ALIBABA_CLOUD_{name}", "") for name in names))


def _key(access_key: str, secret_key: str, token: str) -> Credentials | None:
    if not access_key or not secret_key:
        return None
    return Credentials(access_key=access_key, secret_key=secret_key, token=token)


async def _oidc(
    config: EciConfig, environment: Mapping[str, str], http: httpx.AsyncClient
) -> Credentials | None:
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
        raise vk.TemporaryError("AssumeRoleWithOIDC gave no credentials") from None


async def _ram_role(
    environment: Mapping[str, str], metadata: InstanceMetadata
) -> Credentials | None:
    role = environment.get("ALIBABA_CLOUD_ECS_METADATA") or await metadata.get(_ROLE)
    text = await metadata.get(_ROLE + role) if role else ""
    if not text:
        return None
    try:
        return _temporary(orjson.loads(text))
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError):
        raise vk.TemporaryError(f"the metadata of RAM role {role} holds no credentials") from None


def _temporary(fields: Mapping[str, Any]) -> Credentials:
    expires = datetime.fromisoformat(fields["Expiration"])
    return Credentials(
        access_key=fields["AccessKeyId"],
        secret_key=fields["AccessKeySecret"],
        token=fields["SecurityToken"],
        expires=expires.timestamp(),
    )


async def _profile(environment: Mapping[str, str]) -> Credentials | None:
    wanted = environment.get("ALIBABA_CLOUD_PROFILE", "")
    return await asyncio.to_thread(_from_files, environment, wanted)


def _from_files(environment: Mapping[str, str], wanted: str) -> Credentials | None:
    home = Path(environment.get("HOME") or "/nonexistent")
    given = environment.get("ALIBABA_CLOUD_CREDENTIALS_FILE", "")
    ini = Path(given) if given else home / ".alibabacloud" / "credentials"
    return _from_cli(home / ".aliyun" / "config.json", wanted) or _from_ini(ini, wanted)


def _from_cli(path: Path, wanted: str) -> Credentials | None:
    try:
        content = orjson.loads(path.read_bytes())
        name = wanted or content.get("current") or "default"
        one = next(item for item in content.get("profiles") or () if item.get("name") == name)
    except (OSError, orjson.JSONDecodeError, AttributeError, StopIteration):
        return None
    token = one.get("sts_token") or ""
    _check_kind(path, one.get("mode"), one.get("access_key_id"))
    return _key(one.get("access_key_id") or "", one.get("access_key_secret") or "", token)


def _from_ini(path: Path, wanted: str) -> Credentials | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        one = parser[wanted or "default"]
    except (OSError, UnicodeError, configparser.Error, KeyError):
        return None
    _check_kind(path, one.get("type"), one.get("access_key_id"))
    return _key(one.get("access_key_id", ""), one.get("access_key_secret", ""), "")


def _check_kind(path: Path, kind: object, access_key: object) -> None:
    """Refuse a profile whose key is only there to become somebody else, as by a role."""
    if access_key and kind not in (None, "", *_PLAIN):
        text = f"{path}: a profile of kind {kind} cannot be used: expected an access key of its own"
        raise vk.ConfigError(text)
