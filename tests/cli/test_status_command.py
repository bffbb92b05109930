"""`vk status` against a node of the embedded cluster, and what a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from vk.cli.main import command
from vk.cli.status import lines

DOCUMENT = {
    "node": "n1",
    "version": "1.0",
    "provider": "mock",
    "acting": True,
    "lease": {"holder": "me", "own": "me"},
    "certificate": {"source": "self-signed", "expires": "2027-01-31T12:00:00Z"},
    "conditions": [{"type": "ProviderSuspect", "status": "True", "message": "many pods vanished"}],
    "pods": [
        {
            "namespace": "default",
            "name": "web",
            "phase": "Pending",
            "reason": "OutOfStock",
            "message": "none left",
            "nextTry": "2026-01-31T12:00:30Z",
        },
        {"namespace": "default", "name": "db", "phase": "Running"},
    ],
}


def test_what_is_shown() -> None:
    text = "\n".join(lines(DOCUMENT))
    assert text.startswith("n1: vk 1.0, acts for the node\n")
    assert "lease        me (this process)" in text
    assert "ProviderSuspect=True: many pods vanished" in text
    assert "pods         2, 1 with a problem" in text
    assert "default/web: Pending, OutOfStock" in text
    assert "next try 2026-01-31T12:00:30Z" in text
    assert "default/db" not in text


def test_a_standby_says_who_acts() -> None:
    lease = {"holder": "other", "own": "me"}
    text = "\n".join(lines({**DOCUMENT, "acting": False, "lease": lease}))
    assert "standby" in text
    assert "lease        other\n" in text


def test_an_answer_of_an_older_node_is_shown_as_far_as_it_goes() -> None:
    assert "\n".join(lines({"node": "n1"})).startswith("n1: vk")


@pytest.mark.slow
def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["status", "n1", "--kubeconfig", str(tmp_path / "none")])
    assert result.exit_code == 2
    assert "does not exist" in result.output
