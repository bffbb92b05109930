"""The roles of `vk rbac` against all that the end-to-end suite's nodes asked of their API servers.

A node has no other rights than those roles, so what it lacks fails a test or shows up as denied in
the API server's audit log. Each process of a test run has a control plane of its own; what was
asked there is put together at the end of the run. The run fails where an account was denied what it
was never allowed, and, once every file of tests/e2e has passed, where a right was never used.

Note: one denial alone is none. An API server that restarts, and a namespace that is deleted
or in which the role is not bound, know no roles; the same right was used at another time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

from vk.cluster.permissions import PERMISSIONS
from vk.testing.audit import Request, requests_of

NAME = "audited-suite"
USERS = {
    "system:serviceaccount:kube-system:vk": "node",  # examples/deploy/base
    "system:serviceaccount:kube-system:vk-watching": "node",  # with --watch-references
    "system:serviceaccount:vk-system:vk": "node",  # the chart's
    "system:serviceaccount:vk-system:vk-drain": "drain",
}
"""The accounts whose roles are as they should be, and what for."""
FILES = frozenset(
    f"tests/e2e/{path.name}" for path in (Path(__file__).parent / "e2e").glob("test_*.py")
)
Right = tuple[str, str, str, str]
"""Group, resource, verb, and the namespace where the role is for one only."""
_OWN = {(one.resource, one.namespace) for one in PERMISSIONS}


@attrs.frozen
class Asked:
    """One kind of request of one account."""

    user: str
    request: Request

    @property
    def right(self) -> Right:
        """What it takes."""
        one = self.request
        namespace = one.namespace if (one.resource, one.namespace) in _OWN else ""
        return one.group, one.resource, one.verb, namespace


def denied(asked: Iterable[Asked]) -> list[str]:
    """Say what an account was denied and never allowed."""
    found = {refused: set[tuple[str, Right]]() for refused in (True, False)}
    for one in asked:
        found[one.request.denied].add((one.user, one.right))
    return [f"{user} was denied to {_text(right)}" for user, right in found[True] - found[False]]


def unused(asked: Iterable[Asked]) -> list[str]:
    """Say which rights no account used that has them."""
    used = {(USERS[one.user], one.right) for one in asked if not one.request.denied}
    granted = {
        ("drain" if one.feature == "drain" else "node", right)
        for one in PERMISSIONS
        for verb in one.verbs
        for right in [(one.group, one.resource, verb, one.namespace)]
    }
    return [f"no {who} used the right to {_text(right)}" for who, right in granted - used]


def _text(right: Right) -> str:
    group, resource, verb, namespace = right
    place = f" in {namespace}" if namespace else ""
    return f"{verb} {resource}{'.' if group else ''}{group}{place}"


@attrs.define(eq=False)
class AuditedSuite:
    """A pytest plugin, in each process of the run; the first one judges."""

    asked: set[Asked] = attrs.field(factory=set)
    passed: set[str] = attrs.field(factory=set)
    """Files of which a test has passed."""
    wrong: Sequence[str] = ()

    def note(self, folder: Path) -> None:
        """Take what was asked of a control plane that ends now."""
        self.asked |= {
            Asked(user, request) for user in USERS for request in requests_of(folder, user)
        }

    @pytest.hookimpl(optionalhook=True)  # of xdist
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process has noted."""
        rows = getattr(node, "workeroutput", {}).get(NAME, ())
        self.asked |= {Asked(user, Request(*request)) for user, request in rows}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember who passed."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid.partition("::")[0])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand over what was noted, or judge."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[NAME] = [(one.user, attrs.astuple(one.request)) for one in self.asked]
            return
        self.wrong = denied(self.asked) + (unused(self.asked) if self.passed >= FILES else [])
        if self.wrong:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is wrong, or what was compared."""
        if not self.asked:
            return
        terminalreporter.section("rights of nodes")
        for line in sorted(self.wrong):
            terminalreporter.line(f"FAILED {line}", red=True)
        if not self.wrong:
            whole = "; each right was used" if self.passed >= FILES else ""
            terminalreporter.line(f"nothing was denied to the suite's nodes{whole}")
