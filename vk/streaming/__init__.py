"""Streams over one connection, as Kubernetes multiplexes them: SPDY/3.1 and WebSocket channels.

Used by the kubelet server (exec, attach, port-forward) and by the proxy of the embedded API server.
"""
