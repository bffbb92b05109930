"""The mock provider: simulated pods. The reference for authors of providers."""

import vk


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    """Register the provider ``mock``."""
    register("mock", "vk_providers.mock.provider:MockProvider")
