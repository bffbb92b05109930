"""`vk`: make the node that the settings describe and run it until a signal, or until it fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vk import logs
from vk.runner import execute
from vk.settings import Settings

__all__ = ["run"]

if TYPE_CHECKING:
    from vk.cli.reload import Reload
    from vk.kubelet import VirtualKubelet

log = logging.getLogger(__name__)


def run(settings: Settings, reload: Reload, *, ignored: Sequence[str] = ()) -> int:
    """Run the node that ``settings`` describe and return the exit code.

    ``reload`` follows changes of the configuration. Raises ConfigError, before anything is opened,
    where settings and provider do not fit.
    """
    from vk.cli.provider_config import load_for
    from vk.plugins import Plugins

    provider_class = Plugins.load(files=settings.plugins).provider_class(settings.provider)
    provider_config = load_for(settings, provider_class)
    logs.configure(settings.log_level, sys.stderr)
    for flag in ignored:
        log.warning("flag of the Go program has no effect here", extra={"flag": flag})

    def make() -> VirtualKubelet:
        from vk.kubelet import VirtualKubelet

        return VirtualKubelet(provider_class, provider_config, settings)

    return execute(make, startup_timeout=settings.startup_timeout, beside=reload.run)
