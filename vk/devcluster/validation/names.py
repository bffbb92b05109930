"""Formats of names, labels, port names and addresses, with the texts of the real server.

In: a text. Out: a list of faults, each the end of a sentence after the value; empty = good. Pure.
Called by every check. The texts are part of the API: people search the web for them.
"""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network

from vk.notation.label_names import key_faults as qualified_name_faults
from vk.notation.label_names import value_faults as label_value_faults

__all__ = [
    "MAX_PORT",
    "cidr_faults",
    "config_key_faults",
    "header_faults",
    "ip_faults",
    "label_faults",
    "label_value_faults",
    "path_segment_faults",
    "port_faults",
    "port_name_faults",
    "qualified_name_faults",
    "subdomain_faults",
    "variable_name_faults",
]

MAX_PORT = 65535
_SUBDOMAIN_MAX, _LABEL_MAX, _PORT_NAME_MAX = 253, 63, 15
_LABEL_FORM = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_FORM = rf"{_LABEL_FORM}(\.{_LABEL_FORM})*"
_KEY_FORM = "[-._a-zA-Z0-9]+"
_HEADER_FORM = "[-A-Za-z0-9]+"
_LABEL = re.compile(_LABEL_FORM)
_SUBDOMAIN = re.compile(_SUBDOMAIN_FORM)
_KEY = re.compile(_KEY_FORM)
_HEADER = re.compile(_HEADER_FORM)
_VARIABLE = re.compile("[ -<>-~]+")
_IP_TEXT = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_CIDR_TEXT = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def subdomain_faults(text: str) -> list[str]:
    """Check a DNS-1123 subdomain, the form of most names."""
    faults = [_longest(_SUBDOMAIN_MAX)] if len(text) > _SUBDOMAIN_MAX else []
    if not _SUBDOMAIN.fullmatch(text):
        faults.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character (e.g. "
            f"'example.com', regex used for validation is '{_SUBDOMAIN_FORM}')"
        )
    return faults


def label_faults(text: str) -> list[str]:
    """Check a DNS-1123 label, the form of container and volume names."""
    faults = [_longest(_LABEL_MAX)] if len(text) > _LABEL_MAX else []
    if not _LABEL.fullmatch(text):
        faults.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
            f"'123-abc', regex used for validation is '{_LABEL_FORM}')"
        )
    return faults


def path_segment_faults(text: str) -> list[str]:
    """Check a name that is only a part of a URL's path, as RBAC objects have."""
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{char}'" for char in "/%" if char in text]


def config_key_faults(text: str) -> list[str]:
    """Check a key of a ConfigMap or Secret, which becomes the name of a file."""
    faults = [_longest(_SUBDOMAIN_MAX)] if len(text) > _SUBDOMAIN_MAX else []
    if not _KEY.fullmatch(text):
        faults.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. "
            "'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
            f"'{_KEY_FORM}')"
        )
    if text in (".", ".."):
        faults.append(f"must not be '{text}'")
    elif text.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def variable_name_faults(text: str) -> list[str]:
    """Check the name of an environment variable."""
    if _VARIABLE.fullmatch(text):
        return []
    return [
        "a valid environment variable name must consist only of printable ASCII characters other "
        "than '='"
    ]


def header_faults(text: str) -> list[str]:
    """Check the name of an HTTP header."""
    if _HEADER.fullmatch(text):
        return []
    return [
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. "
        f"'X-Header-Name', regex used for validation is '{_HEADER_FORM}')"
    ]


def port_name_faults(text: str) -> list[str]:
    """Check the name of a port, an IANA service name."""
    faults = [_longest(_PORT_NAME_MAX)] if len(text) > _PORT_NAME_MAX else []
    if not re.fullmatch("[-a-z0-9]+", text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text and "-" in (text[0], text[-1]):
        faults.append("must not begin or end with a hyphen")
    return faults


def port_faults(number: int) -> list[str]:
    """Check the number of a port."""
    return [] if 1 <= number <= MAX_PORT else [f"must be between 1 and {MAX_PORT}, inclusive"]


def ip_faults(text: str) -> list[str]:
    """Check an IP address of either family."""
    try:
        ip_address(text)
    except ValueError:
        return [_IP_TEXT]
    return [_IP_TEXT] if "%" in text else []


def cidr_faults(text: str) -> list[str]:
    """Check a network, ``address/bits``."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return [_CIDR_TEXT]
    return [] if "/" in text else [_CIDR_TEXT]


def _longest(limit: int) -> str:
    return f"must be no more than {limit} characters"
