"""The SPDY/3.1 and WebSocket codecs of exec, attach and port-forward."""
