"""Validation of label keys and values, with the API server's messages, and of objects' names.

In: a label's key or value. Out: what is wrong with it, as the API server writes it; nothing if it
is valid.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["is_dns_subdomain", "key_faults", "value_faults"]

_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def is_dns_subdomain(name: str) -> bool:
    """Return whether the API server takes ``name`` for a Node, a Lease and their kind."""
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def key_faults(key: str) -> list[str]:
    """Return what is wrong with a label's key."""
    return list(_key_faults(key))


def _key_faults(key: str) -> Iterator[str]:
    prefix, slash, name = key.partition("/")
    if "/" in name:
        yield (
            f"a valid label key {_NAME_RULE} with an optional DNS subdomain prefix and '/' "
            "(e.g. 'example.com/MyName')"
        )
        return
    if not slash:
        name = prefix
    elif not prefix:
        yield "prefix part must be non-empty"
    else:
        if len(prefix.encode()) > 253:
            yield "prefix part must be no more than 253 bytes"
        if not _SUBDOMAIN.fullmatch(prefix):
            yield f"prefix part {_SUBDOMAIN_RULE}"
    if not name:
        yield "name part must be non-empty"
    elif len(name.encode()) > 63:
        yield "name part must be no more than 63 bytes"
    if not _NAME.fullmatch(name):
        yield f"name part {_NAME_RULE}"


def value_faults(value: str) -> list[str]:
    """Return what is wrong with a label's value."""
    faults = ["must be no more than 63 bytes"] if len(value.encode()) > 63 else []
    return faults if not value or _NAME.fullmatch(value) else [*faults, _VALUE_RULE]
