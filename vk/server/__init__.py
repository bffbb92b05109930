"""The kubelet's HTTPS API: what `kubectl` and the API server ask a node."""
