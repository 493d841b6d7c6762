"""The DPoP header of one request, as an adapter read it."""

from collections.abc import MutableMapping
from typing import Any

from macaroon_cbat.macaroon.credential_headers import PROOF, CredentialHeaders

_KEY = "macaroon_cbat.proof"


class PresentedProof:
    """The values of the DPoP header of one request, and whether a guard has admitted the request by them.

    It ends with the request. Several guards, or one guard twice, may judge one request: that is one use.
    """

    __slots__ = ("is_used", "values")

    def __init__(self, values: tuple[str, ...]) -> None:
        """Take the value of each header of the name."""
        self.values = values
        self.is_used = False

    def __repr__(self) -> str:
        """Show no proof: it is good until its use."""
        return f"<PresentedProof of {len(self.values)} headers>"


def proof_in(request: MutableMapping[str, Any], headers: CredentialHeaders) -> PresentedProof | None:
    """Return the proof of a WSGI environment or ASGI scope, the same one each time; None without a header.

    No client can write the key with an object under it, whatever protocol its server speaks.
    """
    found = presented_proof(headers)
    if found is None:
        return None
    known = request.get(_KEY)
    if isinstance(known, PresentedProof) and known.values == found.values:
        return known
    request[_KEY] = found
    return found


def presented_proof(headers: CredentialHeaders) -> PresentedProof | None:
    """Return the proof of a request that no other guard judges; None without a header.

    A server under WSGI joins several values with a comma.
    """
    values = tuple(value for name, value in headers if name == PROOF) if headers else ()
    return PresentedProof(values) if values else None
