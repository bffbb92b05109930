"""An emulator of Alibaba Cloud ECI, for users without an account: see docs/eci-emulator.md.

`serve` runs one in this process, `start` in a process of its own; both give a `Running`. It knows
nothing of the provider and its client, so that it is an independent check of them.
"""

from vk_providers.alibabacloud.emulator.launch import Running, serve, start
from vk_providers.alibabacloud.emulator.ledger import billed_twice, living
from vk_providers.alibabacloud.emulator.settings import Settings, VSwitch

__all__ = ["Running", "Settings", "VSwitch", "billed_twice", "living", "serve", "start"]
