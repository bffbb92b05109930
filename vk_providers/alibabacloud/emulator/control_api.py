"""The emulator's control API below ``/emulator/``: ledger, faults, stock and quota of the region.

It needs no signature: any client that can reach the port may use it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from vk_providers.alibabacloud.emulator.cloud import Cloud
from vk_providers.alibabacloud.emulator.errors import EciApiError
from vk_providers.alibabacloud.emulator.faults import read_faults
from vk_providers.alibabacloud.emulator.rpc import ApiResponse

__all__ = ["ControlApi"]

_PATHS = (
    "GET /emulator/ledger, GET and PUT /emulator/faults, GET and PUT /emulator/region,"
    " POST /emulator/reclaim, POST /emulator/delete, POST /emulator/expire-credentials"
)


@attrs.define(eq=False)
class ControlApi:
    """Handles requests of the control API."""

    cloud: Cloud

    def answer(self, method: str, path: str, body: bytes) -> ApiResponse:
        """Handle one request; errors are one line."""
        self.cloud.timeline.now()
        try:
            return _json(self._answer(method, path, body))
        except (ValueError, EciApiError) as error:
            text = error.message if isinstance(error, EciApiError) else str(error)
            return _json({"error": text}, 400)
        except LookupError:
            return _json({"error": f"expected one of: {_PATHS}"}, 404)

    def _answer(self, method: str, path: str, body: bytes) -> Any:
        match method, path:
            case "GET", "/emulator/ledger":
                return self.cloud.ledger.document()
            case "GET" | "PUT", "/emulator/faults":
                if method == "PUT":
                    self.cloud.faults.all = read_faults(_read(body))
                return {"faults": [each.document() for each in self.cloud.faults.all]}
            case "GET" | "PUT", "/emulator/region":
                if method == "PUT":
                    self._set_region(_read(body))
                return self._region()
            case "POST", "/emulator/reclaim":
                group = self.cloud.group_store.get(_id(body))
                if not (group.spot and group.alive):
                    raise ValueError("id: expected a spot group that has not ended")
                group.reclaim(self.cloud.timeline.now())
                return {}
            case "POST", "/emulator/delete":
                self.cloud.group_store.get(_id(body)).delete(self.cloud.timeline.now(), force=True)
                return {}
            case "POST", "/emulator/expire-credentials":
                self.cloud.account.expire(self.cloud.timeline.now())
                return {}
        raise LookupError(path)

    def _region(self) -> dict[str, Any]:
        region = self.cloud.region
        return {
            "stock": region.stock,
            "addresses": {name: each.free for name, each in region.subnets.items()},
            "quota_cpu": region.quota_cpu,
            "used_cpu": region.used_cpu,
        }

    def _set_region(self, document: Any) -> None:
        """Apply the given settings, all or none."""
        region = self.cloud.region
        if not isinstance(document, Mapping):
            raise ValueError("expected an object")
        known = ("stock", "addresses", "quota_cpu")
        for name in document:
            if name not in known:
                raise ValueError(f"{name}: expected one of {', '.join(known)}")
        zones = [each.zone for each in region.settings.vswitches]
        stock = _numbers("stock", document.get("stock", {}), zones)
        addresses = _numbers("addresses", document.get("addresses", {}), region.subnets)
        quota = _numbers("", {"quota_cpu": document.get("quota_cpu")}, ["quota_cpu"])["quota_cpu"]
        region.stock |= stock
        for name, free in addresses.items():
            region.subnets[name].allow(None if free is None else int(free))
        region.quota_cpu = region.quota_cpu if quota is None else quota


def _numbers(path: str, document: Any, known: Any) -> dict[str, float | None]:
    if not isinstance(document, Mapping):
        raise ValueError(f"{path}: expected an object")
    for name, value in document.items():
        where = f"{path}.{name}" if path else name
        if name not in known:
            raise ValueError(f"{where}: expected one of {', '.join(known)}")
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        if value is not None and not number:
            raise ValueError(f"{where}: expected a number from 0 on, or null, found {value!r}")
    return dict(document)


def _id(body: bytes) -> str:
    document = _read(body)
    id = document.get("id") if isinstance(document, Mapping) else None
    if not isinstance(id, str) or not re.fullmatch(r"eci-[a-z0-9]+", id):
        raise ValueError('expected {"id": "eci-..."}')
    return id


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"expected JSON: {error}") from None


def _json(document: Any, status: int = 200) -> ApiResponse:
    return ApiResponse(status, orjson.dumps(document))
