"""The vendor's Go client, an older one, works with the emulator: its tests are in go_client."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from vk_providers.alibabacloud import emulator

FOLDER = Path(__file__).with_name("go_client")
GO = shutil.which("go")


@pytest.mark.slow
@pytest.mark.timeout(900)  # the first run fetches and compiles the client
@pytest.mark.skipif(not (GO or os.environ.get("CI")), reason="Go is not installed")
async def test_the_vendors_go_client_works(running: emulator.RunningEmulator) -> None:
    process = await asyncio.create_subprocess_exec(
        GO or "go",
        *("test", "-count=1", "-timeout=60s", "./..."),
        cwd=FOLDER,
        env={**os.environ, "EMULATOR": running.url.removeprefix("http://")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
