"""The service's error codes as exceptions: one table.

In: status and body of an unsuccessful answer. Out: an exception. A status of 4xx with a code is a
refusal, also where the code is not in the table. For any other answer (5xx, HTML of a proxy) the
outcome is unknown: `RequestOutcomeUnknownError` is no ProviderError, so that the core looks the pod
up before it tries again.

The messages contain action, code, request id and a hint, and the name of the parameter where the
service gives one; never values, nor the service's own message, which may repeat them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

import vk
from vk_providers.alibabacloud.api_description import action_names, describe

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
    "UnknownRefusalError",
    "error_of",
]

_SAFE = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_NAME = re.compile(r"[A-Z]\w*(?:\.\w+)*", re.ASCII)
_INDEX = re.compile(r"\.[0-9]+(?=\.|$)", re.ASCII)
_TIMEOUT = 408


@attrs.frozen
class ErrorDetails:
    """Action, code, status and request id of an error answer."""

    action: str
    code: str
    status: int = 0
    request_id: str = ""
    parameter: str = ""

    def __str__(self) -> str:
        hint = _hint(self.code)
        text = f"{self.action}: {self.code or f'status {self.status}'}"
        text += f" for {self.parameter}" if self.parameter else ""
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


class UnknownRefusalError(vk.TemporaryError):
    """The service refused with a code that is not in the table; the request had no effect."""


class UnchangedError(RequestRefusedError):
    """The group already has the requested parameters."""


_Kind = tuple[type[vk.ProviderError], float | None]
"""The exception of a code, and the seconds until the next try where they are not the core's."""
_THROTTLE: _Kind = (ThrottlingError, 5.0)
_STOCK: _Kind = (NoStockError, None)
_MONEY: _Kind = (QuotaError, 300.0)
_ACCESS: _Kind = (AccessError, 30.0)
_KEY: _Kind = (CredentialsError, 30.0)
_STATE: _Kind = (StateError, 5.0)
_REFUSED: _Kind = (RequestRefusedError, None)
_GONE: _Kind = (GroupNotFoundError, None)
_DRY: _Kind = (DryRunError, None)
_NEW: _Kind = (UnknownRefusalError, 60.0)

_KINDS: Sequence[tuple[_Kind, Sequence[str]]] = (
    (_THROTTLE, ("Degrade.Api", "EipPurchaseFlowControl")),
    ((ThrottlingError, 1800.0), ("Throttling.Vcpu.PerDay",)),
    (_GONE, ("InvalidParameter.NotFound", "InvalidInstanceId.NotFound")),
    (_STATE, ("ImageSnapshot.IncorrectStatus", "IncorrectStatus", "OperationConflict")),
    ((ConflictingTokenError, 5.0), ("IdempotentParameterMismatch",)),
    (
        _STOCK,
        (
            "InvalidVSwitchId.IpNotEnough",
            "OperationDenied.NoStock",
            "RecommendEmpty.InstanceTypeFamilyNotMatched",
            "Spot.NotMatched",
            "Zone.NotOnSale",
        ),
    ),
    (
        _MONEY,
        (
            "Account.Arrearage",
            "EipPayInsufficientBalance",
            "Forbidden.UserBussinessStatus",
            "InvalidPaymentMethod.InsufficientBalance",
            "Payfor.CreditPayInsufficientBalance",
            "QuotaExceeded",
        ),
    ),
    (
        _ACCESS,
        (
            "CreateServiceLinkedRole.Denied",
            "Forbidden.AccountClosed",
            "Forbidden.RAM",
            "Forbidden.RiskControl",
            "Forbidden.SubUser",
            "Forbidden.Unauthorized",
            "Forbidden.UserNotRealNameAuthentication",
            "IncompleteSignature",
            "InvalidUser.PassRoleForbidden",
            "NoPermission",
            "NoPermission.Tag",
            "OperationFailed.RiskControl",
            "SecurityRisk.3DVerification",
            "ServiceNotEnabled",
        ),
    ),
    ((AccessError, 1.0), ("SignatureNonceUsed",)),
    (
        _KEY,
        ("InvalidAccessKeyId.Inactive", "InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch"),
    ),
    ((ClockError, 30.0), ("InvalidTimeStamp.Expired",)),
    (
        _REFUSED,
        (
            "DiskNumber.LimitExceed",
            "DiskVolume.NotInSameZone",
            "DiskVolume.NotSupport",
            "FeatureAccessRestricted",
            "FeatureBasedConstraintConflict",
            "Forbidden.OnlyForInvitedTest",
            "HighCpuMemConfigRequired",
            "ImageSnapshot.NotFound",
            "ImageSnapshot.NotSupport",
            "IncorrectOperation",
            "InstanceTypeNotMatchCpuArch",
            "InvalidAction",
            "InvalidDiskId.NotFound",
            "InvalidInstanceTypeForEciBuy",
            "InvalidInstanceTypeForEciSpotDurationBuy",
            "InvalidOperation.KMS.InstanceTypeNotSupport",
            "InvalidOperation.ResourceManagedByCloudProduct",
            "InvalidParam.CpuOrMemorySpec",
            "InvalidParameter",
            "InvalidParameter.CPU.Memory",
            "InvalidParameter.DuplicatedName",
            "InvalidParameter.DuplicatedVolumeName",
            "InvalidParameter.Encrypted.KmsNotEnabled",
            "InvalidParameter.KMS.EncryptedIllegal",
            "InvalidParameter.KMS.KeyId.Forbidden",
            "InvalidParameter.KMS.KeyId.NotFound",
            "InvalidParameter.LengthExceeded",
            "InvalidParameter.ValueExceeded",
            "InvalidSpotCpuMemorySpec",
            "Ipv6AddressNotSupport",
            "Ipv6AddressNotSupportInstanceType",
            "Ipv6AddressNotSupportVsw",
            "JobInstanceBatchCreateNotSupport",
            "JobInstanceDiskNotSupport",
            "JobInstanceEcsInstanceTypeNotSupport",
            "JobInstanceEipNotSupport",
            "JobInstanceFeatureNotMatch",
            "JobInstanceIPv6NotSupport",
            "JobInstanceImageCacheNotSupport",
            "JobInstanceRamRoleNotSupport",
            "JobInstanceRegionNotSupport",
            "JobInstanceSpotNotSupport",
            "LocalDiskAmountNotMatch",
            "MissingParameter",
            "NumberExceed.Tags",
            "OperationDenied.SecurityGroupMisMatch",
            "OperationDenied.VswZoneMisMatch",
            "PrivateIpAddress.Already.InUse",
            "PrivatePoolInstanceSpotNotSupport",
            "RamRole.NotSupport",
            "TradeBidCommodityNotMatch",
        ),
    ),
    ((UnchangedError, None), ("NoNeedUpdate",)),
    (_DRY, ("DryRun.Success", "DryRunOperation")),
)
_CODES: Mapping[str, _Kind] = {code: kind for kind, codes in _KINDS for code in codes}
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
    fault = ErrorDetails(
        action, code, status, request_id, _parameter(action, fields.get("message"))
    )
    kind, seconds = _kind(code) or (None, None)
    if kind is None and status == 429:
        kind, seconds = _THROTTLE
    elif kind is None and code and 400 <= status < 500 and status != _TIMEOUT:
        kind, seconds = _NEW
    if kind is None:
        return RequestOutcomeUnknownError(str(fault))
    if issubclass(kind, vk.TemporaryError):
        return kind(fault, retry_after=seconds)
    if issubclass(kind, RequestRefusedError):
        return kind(fault, reason="ProviderFailed")
    return kind(fault)


def _kind(code: str) -> _Kind | None:
    if code in _CODES:
        return _CODES[code]
    return next((kind for prefix, kind in _FAMILIES if code.startswith(prefix)), None)


def _parameter(action: str, message: object) -> str:
    """Return the parameter that a message names; only a name that the vendor describes."""
    if action not in action_names() or not isinstance(message, str):
        return ""
    known = describe(action).parameters
    words = _NAME.findall(message)
    return next((one for one in words if _INDEX.sub(".N", one) in known), "")


def _hint(code: str) -> str:
    if code.startswith("Throttling"):
        return "too many calls for this account; vk reduces its rate"
    if code.startswith("InvalidSecurityToken"):
        return "the temporary credentials have expired; vk fetches new ones"
    return _HINTS.get(code, "")


def _word(value: object) -> str:
    """Return a code or id, empty where it is not well-formed."""
    return value if isinstance(value, str) and _SAFE.fullmatch(value) else ""
