"""From a key of the work queue to one step at the provider, and back from what it reports."""
