"""The API server's audit log: which requests a user sent, and which of them were refused.

In: the folder of a control plane that keeps such a log. Out: one `Request` a kind of request and
answer. Used to compare the rights of an account with what it does.
"""

from __future__ import annotations

import json
from pathlib import Path

import attrs

__all__ = ["Request", "audit_flags", "requests_of"]

_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  userGroups: [system:serviceaccounts]
- level: None
"""


@attrs.frozen
class Request:
    """What was asked for: ``resource`` may have a subresource. ``denied``: the right is missing."""

    group: str
    resource: str
    verb: str
    namespace: str = ""
    denied: bool = False


def audit_flags(folder: Path) -> list[str]:
    """Write the policy and return the flags with which an API server keeps the log in ``folder``.

    Only requests of service accounts are kept.
    """
    policy = folder / "audit-policy.yaml"
    policy.write_text(_POLICY)
    return [f"--audit-policy-file={policy}", f"--audit-log-path={folder / 'audit.log'}"]


def requests_of(folder: Path, user: str) -> set[Request]:
    """Return the requests of ``user`` so far."""
    text = (folder / "audit.log").read_text()
    # The last line may still be on its way.
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
    entries = [json.loads(line) for line in lines if user in line]
    return {
        _request(entry)
        for entry in entries
        if entry["user"]["username"] == user and "objectRef" in entry
    }


def _request(entry: dict[str, object]) -> Request:
    target: dict[str, str] = entry["objectRef"]  # type: ignore[assignment] # of the audit API
    notes: dict[str, str] = entry.get("annotations") or {}  # type: ignore[assignment] # same
    subresource = target.get("subresource", "")
    return Request(
        target.get("apiGroup", ""),
        target["resource"] + (f"/{subresource}" if subresource else ""),
        str(entry["verb"]),
        target.get("namespace", ""),
        denied=notes.get("authorization.k8s.io/decision") == "forbid",
    )
