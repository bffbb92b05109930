"""The process provider: each container is a process of this machine. README.md says what for."""

import vk


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    """Register the provider ``process``."""
    register("process", "vk_providers.process.provider:ProcessProvider")
