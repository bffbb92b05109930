"""`vk dev`: a cluster with one node in one process, for as long as the command runs."""
