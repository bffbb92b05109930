"""Who a client is, and what it may do: certificates, tokens, RBAC, reviews."""
