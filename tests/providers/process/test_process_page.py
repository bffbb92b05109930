"""What the provider's page shows of a file is taken as its configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doc_blocks import block

from vk.cli.provider_config import load
from vk_providers.process.config import ProcessConfig


def test_the_images_of_the_page_are_taken(tmp_path: Path) -> None:
    shown = block("vk_providers/process/README.md", "[images").text
    assert shown.count("/srv/images/nginx") == 1
    file = tmp_path / "process.toml"
    (tmp_path / "nginx").mkdir()  # a root folder must be there
    file.write_text(shown.replace("/srv/images/nginx", str(tmp_path / "nginx")))
    config: Any = load(ProcessConfig, provider="process", file=file, overrides={}, environment={})
    assert config.images["python:*"].command == ("python3", "-i")
    assert config.images["nginx"].entrypoint == ("/docker-entrypoint.sh",)
