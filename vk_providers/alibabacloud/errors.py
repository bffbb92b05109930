"""The service's error codes as exceptions: one table.

In: status and body of an unsuccessful answer. Out: an exception. For a code that is not in the
table, and for an answer that is not the service's (HTML of a proxy), the outcome is unknown:
`RequestOutcomeUnknownError` is no ProviderError, so that the core looks the pod up before it tries
again.

The messages contain action, code, request id and a hint; never parameters, nor the service's own
message, which may repeat them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

import vk

__all__ = [
    "AccessError",
    "ClockError",
    "ConflictingTokenError",
    "CredentialsError",
    "DryRunError",
    "ErrorDetails",
    "GroupNotFoundError",
    "NoStockError",
    "QuotaError",
    "RequestOutcomeUnknownError",
    "RequestRefusedError",
    "StateError",
    "ThrottlingError",
    "UnchangedError",
    "error_of",
]

_SAFE = re.compile(r"[\w.:-]{1,128}", re.ASCII)


@attrs.frozen
class ErrorDetails:
    """Action, code, status and request id of an error answer."""

    action: str
    code: str
    status: int = 0
    request_id: str = ""

    def __str__(self) -> str:
        hint = _hint(self.code)
        text = f"{self.action}: {self.code or f'status {self.status}'}"
        text += f" (request {self.request_id})" if self.request_id else ""
        return f"{text}: {hint}" if hint else text


class RequestOutcomeUnknownError(Exception):
    """It is unknown whether the request took effect: check before it is repeated."""


class ThrottlingError(vk.TemporaryError):
    """Too many calls; the request had no effect."""


class NoStockError(vk.TemporaryError):
    """No stock, or no free address in the vSwitch; nothing was created."""


class QuotaError(vk.TemporaryError):
    """The quota is exhausted, or the account is in arrears; nothing was created."""


class AccessError(vk.TemporaryError):
    """Credentials, permissions or the clock are wrong; pods are not the cause."""


class CredentialsError(AccessError):
    """The access key is unknown or the token has expired; the request had no effect."""


class ClockError(AccessError):
    """The timestamp is too far from the service's time; the request had no effect."""


class StateError(vk.TemporaryError):
    """The status of the group does not permit the operation now."""


class ConflictingTokenError(vk.TemporaryError):
    """The ClientToken was used before with other parameters: its group may exist."""


class GroupNotFoundError(vk.NotFoundError):
    """The group does not exist."""


class DryRunError(vk.TemporaryError):
    """The dry run succeeded: a real call would have been accepted."""


class RequestRefusedError(vk.InvalidInputError):
    """The parameters are invalid; repeating the request does not help."""


class UnchangedError(RequestRefusedError):
    """The group already has the requested parameters."""


_THROTTLE = (ThrottlingError, 5.0)
_STOCK = (NoStockError, None)
_QUOTA = (QuotaError, 300.0)
_ACCESS = (AccessError, 30.0)
_KEY = (CredentialsError, 30.0)
_STATE = (StateError, 5.0)
_REFUSED = (RequestRefusedError, None)
_GONE = (GroupNotFoundError, None)

_CODES: Mapping[str, tuple[type[vk.ProviderError], float | None]] = {
    "Degrade.Api": _THROTTLE,
    "EipPurchaseFlowControl": _THROTTLE,
    "Throttling.Vcpu.PerDay": (ThrottlingError, 1800.0),
    "InvalidParameter.NotFound": _GONE,
    "InvalidInstanceId.NotFound": _GONE,
    "IncorrectStatus": _STATE,
    "OperationConflict": _STATE,
    "IdempotentParameterMismatch": (ConflictingTokenError, 5.0),
    "OperationDenied.NoStock": _STOCK,
    "Spot.NotMatched": _STOCK,
    "Zone.NotOnSale": _STOCK,
    "RecommendEmpty.InstanceTypeFamilyNotMatched": _STOCK,
    "InvalidVSwitchId.IpNotEnough": _STOCK,
    "QuotaExceeded": _QUOTA,
    "Account.Arrearage": _QUOTA,
    "InvalidPaymentMethod.InsufficientBalance": _QUOTA,
    "Forbidden.UserBussinessStatus": _QUOTA,
    "EipPayInsufficientBalance": _QUOTA,
    "InvalidParameter": _REFUSED,
    "InvalidParameter.CPU.Memory": _REFUSED,
    "InvalidParameter.DuplicatedName": _REFUSED,
    "InvalidParameter.DuplicatedVolumeName": _REFUSED,
    "InvalidParameter.LengthExceeded": _REFUSED,
    "InvalidParameter.ValueExceeded": _REFUSED,
    "MissingParameter": _REFUSED,
    "InvalidParam.CpuOrMemorySpec": _REFUSED,
    "ImageSnapshot.NotFound": _REFUSED,
    "InvalidDiskId.NotFound": _REFUSED,
    "OperationDenied.SecurityGroupMisMatch": _REFUSED,
    "OperationDenied.VswZoneMisMatch": _REFUSED,
    "PrivateIpAddress.Already.InUse": _REFUSED,
    "DiskVolume.NotInSameZone": _REFUSED,
    "FeatureAccessRestricted": _REFUSED,
    "NoNeedUpdate": (UnchangedError, None),
    "NumberExceed.Tags": _REFUSED,
    "Forbidden.Unauthorized": _ACCESS,
    "InvalidAccessKeyId.NotFound": _KEY,
    "InvalidAccessKeyId.Inactive": _KEY,
    "SignatureDoesNotMatch": _KEY,
    "IncompleteSignature": _ACCESS,
    "SignatureNonceUsed": (AccessError, 1.0),
    "InvalidTimeStamp.Expired": (ClockError, 30.0),
    "Forbidden.RAM": _ACCESS,
    "Forbidden.SubUser": _ACCESS,
    "NoPermission": _ACCESS,
    "NoPermission.Tag": _ACCESS,
    "InvalidUser.PassRoleForbidden": _ACCESS,
    "CreateServiceLinkedRole.Denied": _ACCESS,
    "DryRunOperation": (DryRunError, None),
    "DryRun.Success": (DryRunError, None),
}
_FAMILIES = (
    ("Throttling", _THROTTLE),
    ("InvalidSecurityToken", _KEY),
)

_HINTS = {
    "Degrade.Api": "the service throttles calls; vk reduces its rate",
    "IncorrectStatus": "the group's status does not permit it; vk tries again",
    "OperationConflict": "another operation runs on the group; vk tries again",
    "OperationDenied.NoStock": "no stock; vk tries the next vSwitch and size",
    "Spot.NotMatched": "no spot capacity at that price; raise the limit or use spot-fallback",
    "Zone.NotOnSale": "the zone has nothing on sale; add a vSwitch of another zone",
    "InvalidVSwitchId.IpNotEnough": "the vSwitch has no free address; add another one",
    "QuotaExceeded": "ask Alibaba Cloud for a larger quota, or run fewer pods",
    "Account.Arrearage": "the account is in arrears; nothing starts until it is paid",
    "InvalidPaymentMethod.InsufficientBalance": "the account's balance is too low",
    "InvalidParameter.CPU.Memory": "ask for another combination of cpu and memory",
    "InvalidDiskId.NotFound": "the disk does not exist in this region and zone",
    "ImageSnapshot.NotFound": "the image cache of the annotation does not exist",
    "Forbidden.RAM": "add the action to the RAM policy of the credentials",
    "NoPermission": "add the action to the RAM policy of the credentials",
    "NoPermission.Tag": "allow eci:TagResources and eci:UntagResources in the RAM policy",
    "NumberExceed.Tags": "a group has 20 tags at most; remove some",
    "InvalidUser.PassRoleForbidden": "allow ram:PassRole for the pod's RAM role",
    "CreateServiceLinkedRole.Denied": "create the service-linked role of ECI once, as the owner",
    "InvalidAccessKeyId.NotFound": "the access key does not exist",
    "InvalidAccessKeyId.Inactive": "the access key is disabled",
    "SignatureDoesNotMatch": "the secret does not belong to the access key",
    "InvalidTimeStamp.Expired": "the clock of this machine is wrong; synchronise it by NTP",
    "FeatureAccessRestricted": "the account may not use the feature; ask Alibaba Cloud",
}


def error_of(action: str, status: int, answer: Any) -> Exception:
    """Return the exception for an answer; ``answer`` is the JSON, keys in lower case, or None."""
    fields = answer if isinstance(answer, Mapping) else {}
    code, request_id = _word(fields.get("code")), _word(fields.get("requestid"))
    fault = ErrorDetails(action, code, status, request_id)
    kind, seconds = _kind(code)
    if status == 429 and kind is None:
        kind, seconds = _THROTTLE
    if kind is None:
        return RequestOutcomeUnknownError(str(fault))
    if issubclass(kind, vk.TemporaryError):
        return kind(fault, retry_after=seconds)
    if issubclass(kind, RequestRefusedError):
        return kind(fault, reason="ProviderFailed")
    return kind(fault)


def _kind(code: str) -> tuple[type[vk.ProviderError] | None, float | None]:
    if code in _CODES:
        return _CODES[code]
    return next((kind for prefix, kind in _FAMILIES if code.startswith(prefix)), (None, None))


def _hint(code: str) -> str:
    if code.startswith("Throttling"):
        return "too many calls for this account; vk reduces its rate"
    if code.startswith("InvalidSecurityToken"):
        return "the temporary credentials have expired; vk fetches new ones"
    return _HINTS.get(code, "")


def _word(value: object) -> str:
    """Return a code or id, empty where it is not well-formed."""
    return value if isinstance(value, str) and _SAFE.fullmatch(value) else ""
