"""Subresources that are posted: binding and eviction of pods, tokens of service accounts.

`Subresources.create` answers them; the other subresources are read and changed like the object
itself, split by the rules of its kind.

Note: a Binding may be posted to two places; and an eviction marks the pod with a condition
before it deletes it, so that its controller sees why it was deleted.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs

from vk.devcluster import refusals
from vk.devcluster.auth.tokens import ISSUER, TokenIssuer
from vk.devcluster.bodies import read_object
from vk.devcluster.calls import Answer, Call, json_answer
from vk.devcluster.deletion import Remover
from vk.devcluster.kinds import Kind, stored_kind
from vk.devcluster.refusals import Cause
from vk.devcluster.storage.storage import Storage, parse
from vk.devcluster.updates import Updater, check_uid
from vk.models.time import format_time, now

__all__ = ["Subresources"]

_EVICTION = Kind("policy", "v1", "Eviction", "evictions", verbs=("create",))
_TOKEN = Kind("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests", verbs=("create",))
_BINDING = Kind("", "v1", "Binding", "bindings", verbs=("create",))
_CREATED = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_SHORTEST, _USUAL, _LONGEST = 600, 3600, 1 << 32  # seconds of a token
_BOUND = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


@attrs.define(eq=False)
class Subresources:
    """Answers what is posted to subresources."""

    storage: Storage
    updater: Updater
    remover: Remover
    tokens: TokenIssuer

    def create(self, call: Call) -> Answer:
        """Answer a POST to binding, eviction or token. Raises refusals."""
        if call.target.subresource == "eviction":
            return self._evict(call)
        if call.target.subresource == "token":
            return self._token(call)
        return self._bind(call)

    def _bind(self, call: Call) -> Answer:
        binding = read_object(call, _BINDING)
        name = call.target.name or (binding.get("metadata") or {}).get("name") or ""
        node = (binding.get("target") or {}).get("name")
        if not node:
            cause = Cause("FieldValueRequired", "Required value", "target.name")
            raise refusals.invalid(_BINDING, name, [cause])
        pods = stored_kind("pods")
        pod = self.storage.existing(pods, call.target.namespace, name)
        check_uid(pods, pod, binding.get("metadata") or {}, resource="pods/binding")
        self._refuse_bound(pods, pod, node)
        metadata, given = dict(pod["metadata"]), binding.get("metadata") or {}
        for field in ("annotations", "labels"):
            if given.get(field):
                metadata[field] = {**(metadata.get(field) or {}), **given[field]}
        status = _with_condition(pod.get("status") or {}, _condition("PodScheduled"))
        status.pop("nominatedNodeName", None)
        changed = {
            **pod,
            "metadata": metadata,
            "spec": {**pod["spec"], "nodeName": node},
            "status": status,
        }
        if not call.dry_run:
            self.storage.update(pods, changed)
        return json_answer(_CREATED, 201)

    def _refuse_bound(self, pods: Kind, pod: dict[str, Any], node: str) -> None:
        name, there = pod["metadata"]["name"], pod["spec"].get("nodeName")
        if pod["metadata"].get("deletionTimestamp"):
            why = f"pod {name} is being deleted, cannot be assigned to a host"
        elif there:
            why = f'pod {name} is already assigned to node "{there}"'
        elif pod["spec"].get("schedulingGates"):
            why = f"pod {name} has non-empty .spec.schedulingGates"
        else:
            return
        raise refusals.conflict(pods, name, why, resource="pods/binding")

    def _evict(self, call: Call) -> Answer:
        eviction, pods = read_object(call, _EVICTION), call.target.kind
        name = (eviction.get("metadata") or {}).get("name") or call.target.name
        if name != call.target.name:
            raise refusals.bad_request(
                f"name in URL does not match name in Eviction object: {name}"
            )
        pod = self.storage.existing(pods, call.target.namespace, name)
        options = dict(eviction.get("deleteOptions") or {})
        if call.dry_run:
            options["dryRun"] = ["All"]
        dry_run = bool(options.get("dryRun"))
        phase = (pod.get("status") or {}).get("phase")
        if phase not in ("Failed", "Succeeded") and not dry_run:
            condition = _condition("DisruptionTarget")
            condition |= {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
            status = _with_condition(pod.get("status") or {}, condition)
            pod = self.storage.update(pods, {**pod, "status": status})
        self.remover.remove(pods, pod, options)
        return json_answer(_CREATED, 201)

    def _token(self, call: Call) -> Answer:
        request, accounts = read_object(call, _TOKEN), call.target.kind
        account = self.storage.existing(accounts, call.target.namespace, call.target.name)
        spec = request.get("spec") or {}
        seconds = spec.get("expirationSeconds", _USUAL)
        if not isinstance(seconds, int) or not _SHORTEST <= seconds <= _LONGEST:
            limit = "less than 10 minutes" if seconds < _SHORTEST else "larger than 1<<32 seconds"
            why = f"Invalid value: {seconds}: may not specify a duration {limit}"
            cause = Cause("FieldValueInvalid", why, "spec.expirationSeconds")
            raise refusals.invalid(_TOKEN, "", [cause])
        bound = self._bound(call, spec.get("boundObjectRef") or {})
        audiences = spec.get("audiences") or [ISSUER]
        token, expiry = self.tokens.mint(account, audiences=audiences, seconds=seconds, bound=bound)
        moment = format_time(datetime.fromtimestamp(expiry, UTC))
        shown = {**spec, "audiences": audiences, "expirationSeconds": seconds}
        shown.setdefault("boundObjectRef", None)
        metadata = {
            "name": account["metadata"]["name"],
            "namespace": account["metadata"]["namespace"],
            "creationTimestamp": format_time(now()),
        }
        status = {"token": token, "expirationTimestamp": moment}
        content = {"kind": "TokenRequest", "apiVersion": _TOKEN.api_version, "metadata": metadata}
        return json_answer({**content, "spec": shown, "status": status}, 201)

    def _bound(self, call: Call, reference: dict[str, str]) -> dict[str, str] | None:
        if not reference:
            return None
        plural = _BOUND.get(reference.get("kind", ""))
        if plural is None:
            raise refusals.bad_request(
                f"cannot bind token to object of type {reference.get('apiVersion', '')}, "
                f"Kind={reference.get('kind', '')}"
            )
        kind, name = stored_kind(plural), reference.get("name", "")
        namespace = call.target.namespace if kind.namespaced else ""
        entry = self.storage.existing_entry(kind, namespace, name)
        wanted = reference.get("uid")
        if wanted and wanted != entry.uid:
            why = f"the UID in the bound object reference ({wanted}) does not match the UID in "
            why += "record. The object might have been deleted and then recreated"
            raise refusals.conflict(kind, name, why)
        account = call.target.name
        if plural == "pods" and parse(kind, entry)["spec"].get("serviceAccountName") != account:
            raise refusals.bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with different '
                "serviceaccount name."
            )
        return {"kind": reference["kind"], "name": name, "uid": entry.uid}


def _condition(type_: str) -> dict[str, Any]:
    return {
        "type": type_,
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": format_time(now()),
    }


def _with_condition(status: dict[str, Any], condition: dict[str, Any]) -> dict[str, Any]:
    """Return the status with the condition in its place; an unchanged one keeps its time."""
    conditions = list(status.get("conditions") or ())
    for index, there in enumerate(conditions):
        if there.get("type") == condition["type"]:
            if there.get("status") == condition["status"]:
                since = there.get("lastTransitionTime")
                condition = {**condition, "lastTransitionTime": since}
            conditions[index] = condition
            break
    else:
        conditions.append(condition)
    return {**status, "conditions": conditions}
