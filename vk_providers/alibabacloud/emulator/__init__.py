"""An emulator of Alibaba Cloud ECI, for users without an account: see docs/eci-emulator.md.

`serve` runs one in this process, `start` in a child process; both yield a `RunningEmulator`. It is
independent of the provider and its client, so that it is an independent check of them.
"""

from vk_providers.alibabacloud.emulator.launch import RunningEmulator, serve, start
from vk_providers.alibabacloud.emulator.ledger import billed_twice, living
from vk_providers.alibabacloud.emulator.settings import EmulatorSettings, VSwitch

__all__ = [
    "EmulatorSettings",
    "RunningEmulator",
    "VSwitch",
    "billed_twice",
    "living",
    "serve",
    "start",
]
