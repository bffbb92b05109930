"""The rules of CertificateSigningRequests. Pure.

In: decoded requests. Out: `SIGNING_REQUESTS`, the strategy. Called through the table of strategies.
The requesting user is written by the server after the defaults, from the identity of the client;
approval and certificate are written through subresources of their own. The signature inside the
request is left to the signer.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from vk.devcluster.validation.causes import (
    Cause,
    duplicate,
    forbidden,
    invalid,
    invalid_each,
    required,
    unsupported,
)
from vk.devcluster.validation.names import subdomain_faults
from vk.devcluster.validation.strategy import Strategy
from vk.models.time import format_time, now

__all__ = ["SIGNING_REQUESTS"]

_IDENTITY = ("username", "uid", "groups", "extra")
_USAGES = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign"),
    *("data encipherment", "decipher only", "digital signature", "email protection"),
    *("encipher only", "ipsec end system", "ipsec tunnel", "ipsec user", "key agreement"),
    *("key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime"),
    *("server auth", "signing", "timestamping"),
)
_DECISIONS = ("Approved", "Denied")
_ONLY_TRUE = (*_DECISIONS, "Failed")
_SHORTEST = 600
_CONDITIONS = "status.conditions"


def _prepare_create(request: dict[str, Any]) -> None:
    request["status"] = {}
    for name in _IDENTITY:
        request["spec"].pop(name, None)


def _prepare_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> None:
    new["spec"] = old["spec"]
    if subresource not in ("approval", "status"):
        new["status"] = old["status"]
        return
    written, before = new["status"].get("conditions") or [], old["status"].get("conditions") or []
    if subresource == "status":
        _keep_decisions(before, written)
    else:
        new["status"].pop("certificate", None)
        if "certificate" in old["status"]:
            new["status"]["certificate"] = old["status"]["certificate"]
    for condition in written:
        _set_times(condition, before)


def _keep_decisions(before: list[dict[str, Any]], written: list[dict[str, Any]]) -> None:
    """Restore the contents of decisions that are still there."""
    for kind in _DECISIONS:
        kept = [condition for condition in before if condition["type"] == kind]
        places = [at for at, condition in enumerate(written) if condition["type"] == kind]
        if len(kept) == len(places):
            for at, condition in zip(places, kept, strict=True):
                written[at] = condition


def _set_times(condition: dict[str, Any], before: list[dict[str, Any]]) -> None:
    moment = format_time(now())
    condition["lastUpdateTime"] = condition.get("lastUpdateTime") or moment
    if not condition.get("lastTransitionTime"):
        same = (
            one["lastTransitionTime"]
            for one in before
            if one["type"] == condition["type"] and one["status"] == condition["status"]
        )
        condition["lastTransitionTime"] = next(same, moment)


def _check(request: dict[str, Any]) -> list[Cause]:
    spec = request["spec"]
    text = spec["request"]
    causes = invalid_each("spec.request", text or None, _pem_faults(text, "CERTIFICATE REQUEST"))
    usages = spec.get("usages") or []
    if not usages:
        causes.append(required("spec.usages"))
    for index, usage in enumerate(usages):
        if usage not in _USAGES:
            causes.append(unsupported(f"spec.usages[{index}]", usage, _USAGES))
        if usage in usages[:index]:
            causes.append(duplicate(f"spec.usages[{index}]", usage))
    causes += _signer_faults(spec["signerName"])
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < _SHORTEST:
        detail = f"may not specify a duration less than {_SHORTEST} seconds (10 minutes)"
        causes.append(invalid("spec.expirationSeconds", seconds, detail))
    causes += _condition_faults(request["status"].get("conditions") or [])
    certificate = request["status"].get("certificate")
    if certificate and _pem_faults(certificate, "CERTIFICATE"):
        detail = "must contain at least one CERTIFICATE PEM block"
        causes.append(invalid("status.certificate", "<certificate data>", detail))
    return causes


def _pem_faults(encoded: str | None, block: str) -> list[str]:
    text = base64.b64decode(encoded or "").decode(errors="replace")
    if re.search(f"-----BEGIN {block}-----.*-----END {block}-----", text, re.DOTALL):
        return []
    return [f"PEM block type must be {block}"]


def _signer_faults(name: str) -> list[Cause]:
    if not name:
        return [required("spec.signerName")]
    domain, slash, path = name.partition("/")
    if not slash or not path or "/" in path or "." not in domain or subdomain_faults(domain):
        detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid("spec.signerName", name, detail)]
    return []


def _condition_faults(conditions: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        field, kind = f"{_CONDITIONS}[{index}]", condition["type"]
        known = ("True",) if kind in _ONLY_TRUE else ("False", "True", "Unknown")
        if not kind:
            causes.append(required(f"{field}.type"))
        if not condition["status"]:
            causes.append(required(f"{field}.status"))
        elif condition["status"] not in known:
            causes.append(unsupported(f"{field}.status", condition["status"], known))
        if kind in _DECISIONS and seen & ({*_DECISIONS} - {kind}):
            detail = "Approved and Denied conditions are mutually exclusive"
            causes.append(invalid(_CONDITIONS, kind, detail))
        if kind in seen:
            causes.append(duplicate(f"{field}.type", kind))
        seen.add(kind)
    return causes


def _check_update(old: dict[str, Any], new: dict[str, Any], subresource: str) -> list[Cause]:
    before = _types(old)
    after = _types(new)
    causes: list[Cause] = []
    for kind in _ONLY_TRUE:
        if kind in before and kind not in after:
            detail = f'updates may not remove a condition of type "{kind}"'
            causes.append(forbidden(_CONDITIONS, detail))
        if kind in _DECISIONS and kind in after and kind not in before and subresource == "status":
            detail = f'updates may not add a condition of type "{kind}"'
            causes.append(forbidden(_CONDITIONS, detail))
    certificate = old["status"].get("certificate")
    if certificate and new["status"].get("certificate") != certificate:
        detail = "updates may not change existing certificate content"
        causes.append(forbidden("status.certificate", detail))
    return causes


def _types(request: dict[str, Any]) -> set[str]:
    return {condition["type"] for condition in request["status"].get("conditions") or ()}


SIGNING_REQUESTS = Strategy(
    prepare_create=_prepare_create,
    prepare_update=_prepare_update,
    check=_check,
    check_update=_check_update,
    name_faults=lambda name: [],
)
