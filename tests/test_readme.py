"""README's code is run, so that it stays true."""

from __future__ import annotations

import re
from typing import Any

import pytest
from doc_blocks import ROOT, block

import vk
from vk.models.pod import Json


def _context() -> vk.ProviderContext:
    async def nothing(*_: Any) -> None:
        return None

    def quiet(*_: Any, **__: Any) -> None:
        return None

    return vk.ProviderContext(
        node_name="node",
        cluster_uid="cluster",
        pods={},
        secret=nothing,
        config_map=nothing,
        annotate=nothing,
        check_lease=quiet,
        emit=quiet,
        node_changed=quiet,
    )


async def test_the_provider_of_the_readme_runs_a_pod() -> None:
    names: dict[str, Any] = {}
    exec(block("README.md", "import attrs").text, names)
    raw: Json = {
        "metadata": {"namespace": "default", "name": "one", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    pod = vk.Pod(raw)
    async with names["TimerProvider"](_context()) as provider:
        status = await provider.create_pod(pod)
        assert await provider.create_pod(pod) is status
        assert [one.key for one in await provider.list_pods()] == [pod.key]
        await provider.delete_pod(pod.key, grace_period=30.0)
        with pytest.raises(vk.NotFoundError):
            await provider.delete_pod(pod.key, grace_period=30.0)


def test_the_first_block_is_the_whole_set_up() -> None:
    """Two lines: tests/cli/test_dev.py runs the first's command, CI runs the second's."""
    first, second = block("README.md", "$ python3 -m pip install").commands()
    assert first.endswith("pip install -e '.[dev]' && vk dev --apply examples/nginx.yaml")
    assert second.endswith(
        "pip install -e '.[test]' && python3 -m pytest -q -n auto --dist loadfile"
    )
    ci = (ROOT / ".ci" / "run").read_text()
    assert "pip install --quiet --disable-pip-version-check -e '.[test,docs]'" in ci
    assert "python -m pytest -q -n auto --dist loadfile" in ci


def test_the_printed_summary_is_of_about_as_many_tests_as_there_are(
    request: pytest.FixtureRequest,
) -> None:
    """It can only be seen in a run of all tests, such as CI's; a part of them is fewer."""
    printed = block("README.md", "===========================").text.splitlines()[-1]
    found = re.fullmatch(r"(\d+) passed, (\d+) skipped in .*", printed)
    assert found is not None, printed
    total = int(found[1]) + int(found[2])
    assert len(request.session.items) <= 1.03 * total
