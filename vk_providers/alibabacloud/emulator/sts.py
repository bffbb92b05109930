"""The actions of STS: AssumeRoleWithOIDC and GetCallerIdentity."""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

from vk_providers.alibabacloud.emulator.authentication import AccessKey
from vk_providers.alibabacloud.emulator.cloud import ApiCall
from vk_providers.alibabacloud.emulator.errors import EciApiError
from vk_providers.alibabacloud.emulator.schema import ObjectSchema, integer, matching, text
from vk_providers.alibabacloud.emulator.states import moment

__all__ = ["ASSUME_ROLE", "GET_CALLER_IDENTITY", "assume_role", "document", "get_caller_identity"]

ASSUME_ROLE = ObjectSchema(
    {
        "RoleArn": matching(r"acs:ram::[0-9]+:role/[A-Za-z0-9._/-]+", "acs:ram::ACCOUNT:role/NAME"),
        "OIDCProviderArn": matching(
            r"acs:ram::[0-9]+:oidc-provider/[A-Za-z0-9._/-]+", "acs:ram::ACCOUNT:oidc-provider/NAME"
        ),
        "OIDCToken": text(20_000, 4),
        "RoleSessionName": matching(r"[A-Za-z0-9.@_-]{2,64}", "2 to 64 letters, digits and .@-_"),
        "DurationSeconds": integer(900, 43_200),
        "Policy": text(2048),
    },
    ("RoleArn", "OIDCProviderArn", "OIDCToken", "RoleSessionName"),
)
GET_CALLER_IDENTITY = ObjectSchema({})
_HOUR = 3600


def assume_role(call: ApiCall) -> dict[str, Any]:
    """Return credentials; format and expiry of the token are checked, not its signature."""
    claims = _claims(call.text("OIDCToken"))
    if float(claims.get("exp", 0)) <= call.now:
        raise EciApiError(
            400, "AuthenticationFail.OIDCToken.Expired", "This OIDC token has expired."
        )
    role = call.text("RoleArn").rpartition("/")[2]
    name = f"{role}/{call.text('RoleSessionName')}"
    expires = call.now + call.parameters.get("DurationSeconds", _HOUR)
    credential = call.cloud.account.issue(f"assumed-role/{name}", expires)
    arn = f"acs:ram::{call.cloud.settings.account}:assumed-role/{name}"
    return {
        "AssumedRoleUser": {"AssumedRoleId": f"300000000000000:{name}", "Arn": arn},
        "OIDCTokenInfo": {
            "Subject": str(claims.get("sub", "")),
            "Issuer": str(claims.get("iss", "")),
        },
        "Credentials": document(credential),
    }


def get_caller_identity(call: ApiCall) -> dict[str, Any]:
    """Return the identity of the caller."""
    identity = call.identity.identity if call.identity else ""
    account = call.cloud.settings.account
    kind = "AssumedRoleUser" if identity.startswith("assumed-role") else "Account"
    return {
        "AccountId": account,
        "IdentityType": kind,
        "Arn": f"acs:ram::{account}:{identity}",
        "PrincipalId": account,
    }


def document(credential: AccessKey) -> dict[str, str]:
    """Return temporary credentials in the service's format."""
    return {
        "AccessKeyId": credential.id,
        "AccessKeySecret": credential.secret,
        "SecurityToken": credential.token,
        "Expiration": moment(credential.expires),
    }


def _claims(token: str) -> dict[str, Any]:
    parts = re.fullmatch(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]*", token)
    try:
        if parts is None:
            raise ValueError
        claims = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return dict(claims)
    except (ValueError, TypeError):
        text = "This OIDC token cannot be read."
        raise EciApiError(400, "AuthenticationFail.OIDCToken.Invalid", text) from None
