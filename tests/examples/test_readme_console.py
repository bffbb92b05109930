"""README's terminals, as a reader types them: pods that are processes, and the emulator of ECI."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from console import Console
from doc_blocks import ROOT, Step, block

from vk.testing.programs import free_port

pytestmark = pytest.mark.slow


async def test_a_pod_is_a_process(tmp_path: Path) -> None:
    """Its log is followed, a command runs in it, its port is forwarded; the ports are free ones."""
    names = {port: str(free_port()) for port in ("18080", "18081")}

    def here(text: str) -> str:
        return re.sub("|".join(names), lambda found: names[found[0]], text)

    manifest = tmp_path / "hello.yaml"
    manifest.write_text(here((ROOT / "examples/hello.yaml").read_text()))
    names["examples/hello.yaml"] = str(manifest)
    starting = block("README.md", "$ vk dev --provider process")
    page = block("vk_providers/process/README.md", "$ vk dev --provider process")
    assert starting.commands() == page.commands()[:1]
    wait = Step("kubectl wait --for=condition=Ready pod/hello --timeout=20s", ())
    steps = [*starting.steps(), wait, *block("README.md", "$ kubectl logs -f hello").steps()]
    async with Console(tmp_path) as console:
        for step in steps:
            await console.run(Step(here(step.command), tuple(map(here, step.printed))))


async def test_eci_needs_no_account_to_be_tried(tmp_path: Path) -> None:
    run = Step("kubectl run one --image=nginx", ("pod/one created",))
    wait = Step("kubectl wait --for=condition=Ready pod/one --timeout=30s", ())
    async with Console(tmp_path) as console:
        for step in [*block("README.md", "$ vk dev --provider alibabacloud").steps(), run, wait]:
            await console.run(step)
