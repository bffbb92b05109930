"""A tiny simulated shell: what a container's command does, as steps and without a process."""
