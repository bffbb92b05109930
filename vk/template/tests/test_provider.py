"""The provider keeps the rules of all providers."""

from vk.testing import ProviderContract

from vk_sample.provider import SampleProvider


class TestSample(ProviderContract):
    """Runs every rule; see docs/reference/contract.md of vk."""

    provider_class = SampleProvider

    # Nothing runs yet. Take these two lines out once containers run their commands.
    runs_scripts = False
    pods_end = False
