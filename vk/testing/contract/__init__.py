"""The contract suite: subclass `ProviderContract`, name the provider, and pytest runs every rule.

    class TestMyProvider(ProviderContract):
        provider_class = MyProvider

Each rule is one test. It opens the provider with a cluster around it (`bench`), does what the core
would do, and looks at what a user would see. Rules lie by concept: `lifecycle`, `listing`,
`watching`, `logs`, `log_options`, `streams`, `resolution`, `fields`. What an author can say about
the backend is in `base`. docs/reference/contract.md explains every rule.
"""

from __future__ import annotations

from vk.testing.contract.fields import Fields
from vk.testing.contract.lifecycle import Lifecycle
from vk.testing.contract.listing import ListingRules
from vk.testing.contract.log_options import LogChoices
from vk.testing.contract.logs import Logs
from vk.testing.contract.resolution import Resolved
from vk.testing.contract.streams import Streams
from vk.testing.contract.watching import Watching

__all__ = ["ProviderContract"]


class ProviderContract(
    Lifecycle, ListingRules, Watching, Logs, LogChoices, Streams, Resolved, Fields
):
    """The whole suite. Set ``provider_class``; give ``provider_config`` where it needs one."""
