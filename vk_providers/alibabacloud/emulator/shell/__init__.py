"""A small simulated shell: a container's command as steps, without a process."""
