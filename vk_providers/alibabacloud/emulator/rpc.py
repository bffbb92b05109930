"""Calls of the RPC API: authentication, throttling, parsing, then the action, then the response.

In: the method and the parameters of query and form together. Out: an `ApiResponse`. The ledger gets
an entry for every call of an existing action. Nothing here awaits, so that a call is performed
atomically; a delay is left to the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import orjson

from vk_providers.alibabacloud.emulator.acs3 import Acs3Signature
from vk_providers.alibabacloud.emulator.authentication import AccessKey
from vk_providers.alibabacloud.emulator.cloud import ApiCall, Cloud
from vk_providers.alibabacloud.emulator.errors import EciApiError, invalid, missing
from vk_providers.alibabacloud.emulator.faults import InjectedFault, altered_answer
from vk_providers.alibabacloud.emulator.parameters import COMMON
from vk_providers.alibabacloud.emulator.schema import ObjectSchema, parse
from vk_providers.alibabacloud.emulator.states import read_moment

__all__ = ["JSON", "ApiAction", "ApiResponse", "Rpc"]

JSON = "application/json; charset=utf-8"
_TOKENS_KEPT = 86_400.0
"""Seconds for which a ClientToken is kept; the service does not document it."""
_HTML = b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_LISTS = ("DescribeContainerGroups", "DescribeContainerGroupStatus", "DescribeContainerGroupEvents")
_IGNORED = ("DeleteContainerGroup", "UpdateContainerGroup", "RestartContainerGroup")
_EMPTY_WHEN_DENIED = frozenset({*_LISTS, "DescribeVSwitches"})


@attrs.frozen
class ApiAction:
    """The parameters and the implementation of an action."""

    shape: ObjectSchema
    perform: Callable[[ApiCall], dict[str, Any]]
    signed: bool = True
    regional: bool = True


@attrs.frozen
class ApiResponse:
    """A response and its delay; ``dropped``: the connection is closed instead."""

    status: int
    body: bytes = attrs.field(repr=False)
    content_type: str = JSON
    dropped: bool = False
    late: float = 0.0


@attrs.frozen
class AdmittedCall:
    """A call to be performed, with its fault."""

    action: ApiAction
    call: ApiCall
    parameters: Mapping[str, str] = attrs.field(repr=False)
    """The parameters of the action as sent, without the token."""
    token: str = ""


@attrs.define(eq=False)
class Rpc:
    """The RPC API of the cloud."""

    cloud: Cloud
    actions: Mapping[tuple[str, str], ApiAction]
    """By version and name."""
    _replies: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = attrs.field(
        factory=dict, init=False, repr=False
    )

    def begin(
        self,
        method: str,
        parameters: Mapping[str, str],
        base: str,
        acs3: Acs3Signature | None = None,
    ) -> AdmittedCall | ApiResponse:
        """Admit a call, or return its error response."""
        now = self.cloud.timeline.now()
        name, version = parameters.get("Action", ""), parameters.get("Version", "")
        action = self.actions.get((version, name))
        record: dict[str, Any] = {}
        try:
            if not name or not version:
                raise missing("Action" if not name else "Version")
            if action is None:
                text = "The specified action or version is not found or not emulated."
                raise EciApiError(404, "InvalidAction.NotFound", text)
            record = self.cloud.ledger.call(name, now, parameters.get("ClientToken"))
            identity = self._identify(action, method, parameters, now, acs3)
            if identity is not None:
                signed = read_moment(parameters["Timestamp"])
                record |= {"key": identity.id, "signed": signed}
            self.cloud.buckets.take(name, now)
            fault = self.cloud.faults.pick(name)
            record["fault"] = fault.kind if fault else None
            business = {key: text for key, text in parameters.items() if key not in COMMON}
            tree = parse(action.shape, business)
            token = str(tree.pop("ClientToken", ""))
            call = ApiCall(
                cloud=self.cloud,
                action=name,
                parameters=tree,
                now=now,
                identity=identity,
                fault=fault,
                record=record,
                base=base,
            )
            return AdmittedCall(action, call, business, token)
        except EciApiError as refusal:
            record["code"] = refusal.code
            return self.refused(refusal)

    def _identify(
        self,
        action: ApiAction,
        method: str,
        parameters: Mapping[str, str],
        now: float,
        acs3: Acs3Signature | None,
    ) -> AccessKey | None:
        """Return the caller's key, None for unsigned actions. Raises `EciApiError`."""
        identity = None
        if action.signed:
            identity = self.cloud.account.authenticate(method, parameters, now, acs3)
        if action.signed and action.regional:
            region, here = parameters.get("RegionId"), self.cloud.settings.region
            if not region:
                raise missing("RegionId")
            if region != here:
                raise invalid("RegionId", f"this emulator is the region {here}")
        if parameters.get("Format", "XML").upper() != "JSON":
            raise invalid("Format", "expected JSON, the only format here")
        return identity

    def perform(self, admitted: AdmittedCall) -> ApiResponse:
        """Perform a call, subject to its fault, and return the response."""
        fault = admitted.call.fault
        try:
            early = None if fault is None else self._before(fault, admitted)
            answer = early or self._done(admitted)
        except EciApiError as refusal:
            admitted.call.record["code"] = refusal.code
            answer = self.refused(refusal)
        return answer if fault is None else self._after(fault, answer)

    def _done(self, admitted: AdmittedCall) -> ApiResponse:
        """Perform a call and return its response. Raises `EciApiError`."""
        document = {"RequestId": self.cloud.request_id(), **self._once(admitted)}
        if admitted.call.fault is not None:
            document = altered_answer(admitted.call.fault.kind, document)
        return ApiResponse(200, orjson.dumps(document))

    def _before(self, fault: InjectedFault, admitted: AdmittedCall) -> ApiResponse | None:
        """Return the response of a call that is not performed, or raise its error."""
        match fault.kind:
            case "throttle":
                text = "Request was denied due to request throttling."
                raise EciApiError(400, fault.code or "Throttling", text)
            case "error":
                raise EciApiError(fault.status, fault.code, "Refused by an injected fault.")
            case "denied" if admitted.call.action not in _EMPTY_WHEN_DENIED:
                raise EciApiError(403, "Forbidden.RAM", "User not authorized to operate.")
            case "ignored" if admitted.call.action in _IGNORED:
                return ApiResponse(200, orjson.dumps({"RequestId": self.cloud.request_id()}))
            case "reset":
                return ApiResponse(0, b"", dropped=True)
            case "server_error" | "html" if not fault.done:
                return self._broken(fault)
        return None

    def _broken(self, fault: InjectedFault) -> ApiResponse:
        if fault.kind == "html":
            return ApiResponse(fault.status or 502, _HTML, "text/html")
        status = fault.status or 500
        code = "InternalError" if status == 500 else "ServiceUnavailable"
        return self.refused(EciApiError(status, code, "The request processing has failed."))

    def _after(self, fault: InjectedFault, answer: ApiResponse) -> ApiResponse:
        """Return the response as altered by a fault."""
        match fault.kind:
            case "lost_reply":
                return attrs.evolve(answer, dropped=True)
            case "server_error" | "html":
                return self._broken(fault)
            case "truncated":
                return attrs.evolve(answer, body=answer.body[: len(answer.body) // 2])
            case "delay" if fault.done is not False:
                return attrs.evolve(answer, late=fault.seconds)
        return answer

    def _once(self, admitted: AdmittedCall) -> dict[str, Any]:
        """Perform a call once for each token. Raises `EciApiError`."""
        if not admitted.token:
            return admitted.action.perform(admitted.call)
        digest = _digest(admitted.parameters)
        known = self._replies.get((admitted.call.action, admitted.token))
        if known is not None:
            if known[0] != digest:
                text = "The request uses the same client token as an earlier, different one."
                raise EciApiError(400, "IdempotentParameterMismatch", text)
            admitted.call.record["group"] = known[1].get("ContainerGroupId")
            return known[1]
        result = admitted.action.perform(admitted.call)
        key = (admitted.call.action, admitted.token)
        self._replies[key] = (digest, result)
        self.cloud.timeline.after(
            admitted.call.now, _TOKENS_KEPT, lambda _: self._replies.pop(key, None) and None
        )
        return result

    def refused(self, refusal: EciApiError) -> ApiResponse:
        """Return the response of an error."""
        document = {
            "RequestId": self.cloud.request_id(),
            "HostId": "eci.emulator",
            "Code": refusal.code,
            "Message": refusal.message,
            "Recommend": "",
        }
        return ApiResponse(refusal.status, orjson.dumps(document))


def _digest(parameters: Mapping[str, str]) -> bytes:
    pairs = sorted((key, text) for key, text in parameters.items() if key != "ClientToken")
    return hashlib.blake2b(orjson.dumps(pairs), digest_size=16).digest()
