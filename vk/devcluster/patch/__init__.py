"""The patch types of the API: merge, JSON and strategic merge."""
