"""One function a kind of setting: what a person wrote -> the value.

In comes the text of a flag or a variable, or a value of a configuration file; each function raises
ValueError whose text says what was expected. Pure; called by `vk.cli.options`.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

__all__ = [
    "address",
    "addresses",
    "boolean",
    "choice",
    "count",
    "duration",
    "host_port",
    "key_values",
    "name",
    "number",
    "path",
    "paths",
    "port",
    "positive_duration",
    "signer",
    "taint_key",
    "text",
]

_UNITS = {"ns": "1e-9", "us": "1e-6", "µs": "1e-6", "μs": "1e-6", "ms": "1e-3"}
_SECONDS = {unit: Decimal(size) for unit, size in _UNITS.items()} | {
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_QUALIFIED = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
# The words that the Go program's flag library takes for a boolean.
_WORDS = dict.fromkeys(("1", "t", "true"), True) | dict.fromkeys(("0", "f", "false"), False)


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    return value.strip()


def name(value: Any) -> str:
    """A name that Kubernetes accepts for a node: a DNS subdomain."""
    if not isinstance(value, str) or len(value) > 253 or not _SUBDOMAIN.fullmatch(value):
        raise ValueError("a DNS name of lower-case letters, digits, '-' and '.'")
    return value


def taint_key(value: Any) -> str:
    """A qualified name: ``[prefix/]name``."""
    prefix, _, last = value.rpartition("/") if isinstance(value, str) else ("", "", "")
    bad_prefix = "/" in str(value) and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix))
    if bad_prefix or not _QUALIFIED.fullmatch(last):
        raise ValueError("a taint key such as example.com/name")
    return str(value)


def path(value: Any) -> Path:
    """A path; whether something is there is for who opens it."""
    if not isinstance(value, str) or not value:
        raise ValueError("a path")
    return Path(value)


def paths(value: Any) -> tuple[Path, ...]:
    """Paths: a sequence, or one alone."""
    items = value if isinstance(value, list | tuple) else (value,)
    try:
        return tuple(path(item) for item in items)
    except ValueError as error:
        raise ValueError("a path, or a list of paths") from error


def boolean(value: Any) -> bool:
    """True or false, also as the words that Go programs take."""
    if isinstance(value, bool):
        return value
    word = _WORDS.get(value.lower()) if isinstance(value, str) else None
    if word is None:
        raise ValueError("true or false")
    return word


def choice(*known: str) -> Callable[[Any], str]:
    """One word of ``known``."""

    def parse(value: Any) -> str:
        if value not in known:
            raise ValueError(f"one of {', '.join(known)}")
        return str(value)

    return parse


def count(least: int) -> Callable[[Any], int]:
    """A whole number, ``least`` or more."""

    def parse(value: Any) -> int:
        known = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
            value, known = int(value), True
        if not known or value < least:
            raise ValueError(f"a whole number, {least} or more")
        return int(value)

    return parse


def number(value: Any) -> float:
    """A finite number, 0 or more."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    if not usable or not math.isfinite(value) or value < 0:
        raise ValueError("a number, 0 or more")
    return float(value)


def duration(value: Any) -> float:
    """Seconds, from Go's notation (``1m30s``, ``300ms``) or a plain number of seconds."""
    expected = "a duration such as 30s, 1m or 0"
    if isinstance(value, str):
        parts = _PART.findall(value)
        if parts and "".join(amount + unit for amount, unit in parts) == value:
            return float(sum(Decimal(amount) * _SECONDS[unit] for amount, unit in parts))
    try:
        return number(value)
    except ValueError as error:
        raise ValueError(expected) from error


def positive_duration(value: Any) -> float:
    """Seconds as `duration` reads them, more than 0."""
    seconds = duration(value)
    if seconds == 0:
        raise ValueError("a duration above 0, such as 30s or 1m")
    return seconds


def port(value: Any) -> int:
    """A TCP port, 1 to 65535."""
    try:
        found = count(1)(value)
    except ValueError:
        found = 0
    if not 0 < found < 65536:
        raise ValueError("a port, 1 to 65535")
    return found


def signer(value: Any) -> str:
    """A signer's name, or the word none, which is empty as a value."""
    if value == "none":
        return ""
    domain, _, last = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not (_SUBDOMAIN.fullmatch(domain) and "." in domain and _SUBDOMAIN.fullmatch(last)):
        raise ValueError("a signer such as kubernetes.io/kubelet-serving, or none")
    return str(value)


def address(value: Any) -> str:
    """An IPv4 or IPv6 address."""
    try:
        return str(ipaddress.ip_address(value if isinstance(value, str) else ""))
    except ValueError as error:
        raise ValueError("an IP address") from error


def addresses(value: Any) -> tuple[str, ...]:
    """IP addresses: a list, or a text with commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise ValueError("IP addresses, with commas between them")
    try:
        return tuple(address(item.strip() if isinstance(item, str) else "") for item in items)
    except ValueError as error:
        raise ValueError("IP addresses, with commas between them") from error


def host_port(value: Any) -> str:
    """``HOST:PORT``; an IPv6 host stands in brackets."""
    expected = "HOST:PORT"
    host, _, last = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    bracketed = host.startswith("[") and host.endswith("]")
    if not host or any(c.isspace() or c == "/" for c in host) or (":" in host and not bracketed):
        raise ValueError(expected)
    try:
        port(last)
        if bracketed:
            address(host[1:-1])
    except ValueError as error:
        raise ValueError(expected) from error
    return str(value)


def key_values(value: Any) -> dict[str, str]:
    """Keys and values: a mapping, or a sequence of ``key=value``; of one key the last counts."""
    if isinstance(value, Mapping):
        plain = all(isinstance(item, str | int | float) for item in value.values())
        if not plain or not all(isinstance(key, str) and key for key in value):
            raise ValueError("a table of keys with plain values")
        return {key: _plain(item) for key, item in value.items()}
    pairs = [str(item).partition("=") for item in value] if isinstance(value, list | tuple) else []
    if not pairs or any(not key or not sign for key, sign, _ in pairs):
        raise ValueError("key=value")
    return {key: item for key, _, item in pairs}


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
