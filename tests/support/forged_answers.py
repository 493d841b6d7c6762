"""Forged answers of introspection."""


def forged(token: str) -> str:
    """Return the token, identifier and all, with another signature."""
    return token[:-6] + ("AAAAAA" if token[-6:] != "AAAAAA" else "BBBBBA")
