"""From the embedded API server to the kubelets: logs, streams, the nodes' proxy, and metrics."""
