"""The endpoints of a region's services, from the vendor's endpoint page. Pure."""

from __future__ import annotations

import re

import vk

__all__ = ["endpoint"]

_REGION = re.compile(r"[a-z]{2}(-[a-z0-9]+){1,3}", re.ASCII)
_ODD = {
    ("eci", "cn-shanghai-finance-1"): "eci.cn-shanghai-finance.aliyuncs.com",
    ("eci", "cn-shenzhen-finance-1"): "eci.cn-shenzhen-finance.aliyuncs.com",
}


def endpoint(product: str, region: str, *, network: str = "public", override: str = "") -> str:
    """Return the URL of ``product`` (eci, vpc, sts) in ``region``, without a slash at its end.

    Any well-formed region id gives a host name by rule, so that new regions need no new release.
    Raises ConfigError for a malformed region id, since it would become part of a host name.
    """
    if override:
        return override.rstrip("/")
    if not _REGION.fullmatch(region):
        raise vk.ConfigError(f"region: expected a name such as cn-hangzhou, found {region!r}")
    if network == "vpc":
        return f"https://{product}-vpc.{region}.aliyuncs.com"
    return f"https://{_ODD.get((product, region), f'{product}.{region}.aliyuncs.com')}"
