"""An API server in this process: storage, rules and routes of the kinds that a node needs."""
