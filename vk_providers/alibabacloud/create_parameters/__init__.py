"""The parameters of CreateContainerGroup for a pod: `group` puts them together. Pure."""
