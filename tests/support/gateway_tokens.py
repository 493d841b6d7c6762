"""Tokens of the core's honest issuer that are good at this very moment."""

import time
from typing import Any

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Caveat, confirmation
from tests.support.tokens import token


def good(certificate: bytes | None, *caveats: Caveat, **changes: Any) -> str:
    """Return a token that is bound to this certificate, and granted until in ten minutes."""
    now = int(time.time())
    binding = () if certificate is None else (confirmation(thumbprint_of(DerCertificate(certificate))),)
    return token(*binding, *caveats, **{"iat": now, "exp": now + 600, **changes})
