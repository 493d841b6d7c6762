"""Identities of other issuers: the keys that issuers publish, their JWTs, and the clients that these name."""
