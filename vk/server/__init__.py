"""The kubelet's HTTPS API: what `kubectl` and the API server request from a node."""
