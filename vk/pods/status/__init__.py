"""From what the provider reports to the status patch, and its only writer."""
