"""The notations that annotations are written in: a text in, parameters out. Pure.

Each function is a parser, or returns one; a parser's ValueError says what was expected. Called by
the table in `annotations`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import orjson

import vk

__all__ = [
    "HOST",
    "Parse",
    "acr",
    "arns",
    "bandwidth",
    "choice",
    "dns",
    "flag",
    "hosts",
    "ids",
    "listed",
    "number",
    "price",
    "specs",
    "storage",
    "sysctls",
    "tags",
    "word",
]

Parse = Callable[[str], dict[str, Any]]

_SPEC = re.compile(r"\d+(\.\d+)?-\d+(\.\d+)?Gi|ecs\.[a-z0-9.-]+", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)Gi", re.ASCII)
_ID = re.compile(r"[a-z]{2,5}-[A-Za-z0-9]+", re.ASCII)
_ACR = re.compile(r"(?:([a-z0-9-]+):)?(cri-[a-z0-9]+)", re.ASCII)
HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.:-]*", re.ASCII)
"""Names and addresses of machines."""


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def choice(parameter: str, *known: str) -> Parse:
    """One word of ``known``."""

    def parse(text: str) -> dict[str, Any]:
        if text not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return {parameter: text}

    return parse


def flag(parameter: str, yes: object = True) -> Parse:
    """``true`` or ``false``; ``yes`` is what true sends, where it is no boolean."""

    def parse(text: str) -> dict[str, Any]:
        if text not in ("true", "false"):
            raise ValueError("true or false")
        if yes is True:
            return {parameter: text == "true"}
        return {parameter: yes} if text == "true" else {}

    return parse


def number(parameter: str, least: int, most: int) -> Parse:
    """A whole number."""

    def parse(text: str) -> dict[str, Any]:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return {parameter: int(text)}

    return parse


def word(parameter: str, pattern: re.Pattern[str] = _ID, *, expected: str = "an id") -> Parse:
    """A text of the form of ``pattern``."""

    def parse(text: str) -> dict[str, Any]:
        if not pattern.fullmatch(text):
            raise ValueError(expected)
        return {parameter: text}

    return parse


def ids(parameter: str, most: int) -> Parse:
    """Ids with commas between them, sent as one text."""

    def parse(text: str) -> dict[str, Any]:
        found = _items(text)
        if not 0 < len(found) <= most or not all(_ID.fullmatch(one) for one in found):
            raise ValueError(f"1 to {most} ids with commas between them")
        return {parameter: ",".join(found)}

    return parse


def listed(parameter: str, most: int, *, joined: bool = False) -> Parse:
    """Names or addresses with commas between them, sent as a list or joined again."""

    def parse(text: str) -> dict[str, Any]:
        items = _items(text)
        if not 0 < len(items) <= most or not all(HOST.fullmatch(one) for one in items):
            raise ValueError(f"1 to {most} names or addresses with commas between them")
        return {parameter: ",".join(items) if joined else items}

    return parse


def specs(text: str) -> dict[str, Any]:
    """Sizes and instance types; a single size is vCPU and memory."""
    found = _items(text)
    if not 0 < len(found) <= 5 or not all(_SPEC.fullmatch(one) for one in found):
        raise ValueError("1 to 5 sizes such as 2-4Gi or ecs.c6.xlarge with commas between them")
    if len(found) == 1 and (size := _SIZE.fullmatch(found[0])):
        return {"Cpu": size[1], "Memory": size[2], "specs": tuple(found)}
    return {"specs": tuple(found)}


def price(text: str) -> dict[str, Any]:
    """A price an hour."""
    if not re.fullmatch(r"\d{1,6}(\.\d{1,3})?", text, re.ASCII):
        raise ValueError("a price with three decimals at most")
    return {"SpotPriceLimit": text}


def storage(text: str) -> dict[str, Any]:
    """Whole GiB."""
    size = vk.parse_quantity(text) / (1 << 30)
    if size != int(size) or not 0 <= size <= 5000:
        raise ValueError("whole GiB, 5000Gi at most")
    return {"EphemeralStorage": int(size)}


def bandwidth(parameter: str) -> Parse:
    """Bytes a second."""

    def parse(text: str) -> dict[str, Any]:
        value = vk.parse_quantity(text)
        if value <= 0 or value != int(value):
            raise ValueError("bytes a second, such as 40M")
        return {parameter: int(value)}

    return parse


def tags(text: str) -> dict[str, Any]:
    """Tags ``key:value``."""
    pairs = [item.partition(":") for item in _items(text)]
    if not 0 < len(pairs) <= 3 or not all(sign for _, sign, _ in pairs):
        raise ValueError("1 to 3 tags key:value with commas between them")
    for key, _, value in pairs:
        banned = key.startswith(("aliyun", "acs:", "vk-", "label/")) or value.startswith(
            ("aliyun", "acs:")
        )
        if banned or not 0 < len(key) <= 64 or len(value) > 128:
            raise ValueError(
                "keys up to 64 and values up to 128 characters, none of vk, label or aliyun"
            )
    return {"Tag": [{"Key": key, "Value": value} for key, _, value in pairs]}


def hosts(text: str) -> dict[str, Any]:
    """JSON: lines of the hosts file."""
    entries = orjson.loads(text)
    return {"HostAliase": [{"Ip": one["ip"], "Hostname": [one["host"]]} for one in entries]}


def dns(text: str) -> dict[str, Any]:
    """JSON: resolver settings."""
    fields = orjson.loads(text)
    options = [item.partition(":") for item in _items(fields.get("options") or "")]
    return {
        "DnsPolicy": "None",
        "DnsConfig": {
            "NameServer": _items(fields.get("nameservers") or ""),
            "Search": _items(fields.get("searches") or ""),
            "Option": [{"Name": name, "Value": value or None} for name, _, value in options],
        },
    }


def sysctls(text: str) -> dict[str, Any]:
    """JSON: kernel parameters."""
    entries = [{"Name": one["name"], "Value": one["value"]} for one in orjson.loads(text)]
    return {"HostSecurityContext": {"Sysctl": entries}}


def acr(text: str) -> dict[str, Any]:
    """Registry instances, each with or without its region."""
    found = [_ACR.fullmatch(item) for item in _items(text)]
    if not found or not all(found):
        raise ValueError("ids such as cri-x or cn-beijing:cri-x with commas between them")
    return {
        "AcrRegistryInfo": [
            {"InstanceId": one[2], "RegionId": one[1]} for one in found if one is not None
        ]
    }


def arns(parameter: str) -> Parse:
    """The ARN of a role for a registry."""

    def parse(text: str) -> dict[str, Any]:
        if not text.startswith("acs:ram::"):
            raise ValueError("the ARN of a role")
        return {"AcrArns": {parameter: text}}

    return parse
