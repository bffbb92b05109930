"""SPDY/3.1 as API servers speak it to a kubelet: frames, header blocks, sessions; no I/O."""
