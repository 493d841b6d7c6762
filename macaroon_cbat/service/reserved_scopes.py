"""The scopes of the service's own endpoints, which are for no resource server."""

RESERVED_SCOPES = ("keys", "revocations", "admin", "grants")
"""The scopes of the service's own endpoints. A user may grant `grants` alone, for a list of its logins."""
