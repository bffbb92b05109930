"""The plugin: vk finds it through the entry point in setup.cfg and asks for providers."""

import vk


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    """Register the provider; its module is imported when it is chosen."""
    register("sample", "vk_sample.provider:SampleProvider")
