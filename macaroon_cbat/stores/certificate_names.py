"""The names of certificates that a client can register for tls_client_auth (RFC 8705 2.1.2)."""

import re

_HOST_NAME = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.)*[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\Z")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!\"$-~]+\Z")


def refuse_unmatchable_names(san_dns: str | None, san_uri: str | None) -> None:
    """Raise ValueError for names that match no certificate, or another one than it seems.

    They are compared character by character with those that a CA signed: `*` is no wildcard.
    """
    if san_dns is not None and not _HOST_NAME.match(san_dns):
        raise ValueError(
            "a SAN DNS name is compared as it is: write letters, digits and hyphens between dots, no "
            "wildcard and no last dot, and other scripts as xn--..."
        )
    if san_uri is not None and not _URI.match(san_uri):
        raise ValueError("a SAN URI is compared as it is: write an absolute one without a fragment")
