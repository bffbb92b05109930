"""Server-side apply: what `kubectl apply --server-side` does, and who owns which field."""
