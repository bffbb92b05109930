"""WebSockets as the kubelet API uses them: the channel protocols, and connections."""
