"""What the tests of the rooms under `vk.pods` share lies in this folder (`pod_world`, ...)."""
