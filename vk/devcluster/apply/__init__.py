"""Server-side apply: what `kubectl apply --server-side` does, and managers of fields."""
