"""The Alibaba Cloud provider: pods become container groups of ECI. docs/alibabacloud.md."""

import vk


@vk.hookimpl
def vk_register_providers(register: vk.Register) -> None:
    """Register the provider ``alibabacloud``."""
    register("alibabacloud", "vk_providers.alibabacloud.provider:AlibabaCloudProvider")
