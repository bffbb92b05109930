"""From an action and nested parameters to a request object of the vendor's SDK.

In: ``{"Container": [{"Name": "a", "Port": [{"Port": 80}]}]}``. Out: a request with the parameters
``Container.1.Name`` and ``Container.1.Port.1.Port``. Pure.

The SDK's own setters are not used, since some write wrong names (``ConfigFileVolume.DefaultModel``,
``AcrRegistryInfo.1Domain.1``), leave out parameters, or write None and True as Python does; the
names are put together here, in one place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["MUTATIONS", "build", "flatten"]

MUTATIONS = frozenset(
    {
        "CreateContainerGroup",
        "DeleteContainerGroup",
        "UpdateContainerGroup",
        "TagResources",
        "UntagResources",
        "ExecContainerCommand",
    }
)
"""Actions with effects: never repeated automatically."""
_OTHERS = {
    "TagResources": ("Eci", "2018-08-08", "eci"),
    "UntagResources": ("Eci", "2018-08-08", "eci"),
    "DescribeVSwitches": ("Vpc", "2016-04-28", "vpc"),
    "DescribeInstances": ("Ecs", "2014-05-26", "ecs"),
}
"""Actions for which the SDK of ECI has no class, with product, version and code."""


def flatten(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the parameters by wire name, each as its text; None is left out.

    An empty list is left out too: an empty command would take the place of the image's.
    """
    return dict(_flat(parameters, ""))


def build(action: str, parameters: Mapping[str, Any]) -> Any:
    """Return the SDK's request for ``action`` with the nested ``parameters``."""
    request = _request_class(action)()
    for name, text in flatten(parameters).items():
        request.add_query_param(name, text)
    return request


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _flat(child, f"{name}.{key}" if name else key)
    elif isinstance(value, list | tuple):
        for number, child in enumerate(value, 1):
            yield from _flat(child, f"{name}.{number}")
    elif isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, float):
        yield name, f"{value:g}"
    elif value is not None:
        yield name, str(value)


@cache
def _request_class(action: str) -> Any:
    if action in _OTHERS:
        from aliyunsdkcore.request import RpcRequest

        product, version, code = _OTHERS[action]
        return lambda: RpcRequest(product, version, action, code)
    module = import_module(f"aliyunsdkeci.request.v20180808.{action}Request")
    return getattr(module, f"{action}Request")
