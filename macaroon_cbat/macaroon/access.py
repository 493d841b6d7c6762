"""The access: the facts of one request, with which every caveat is compared."""

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import Target


class Access(Struct, frozen=True, kw_only=True, gc=False):
    """The facts of one request. A fact that is None is unknown, and a caveat about it refuses."""

    now: EpochSeconds
    clock_skew: int = 0
    """Seconds by which `now`, the clock of the verifier, may be wrong either way."""
    audience: str | None = None
    """The resource server: an absolute URI in its canonical spelling."""
    certificate: Thumbprint | None = None
    """The thumbprint of the client certificate that the connection was made with; None without one."""
    method: str | None = None
    """The HTTP method, a case-sensitive token such as `GET` (RFC 9110 9.1)."""
    target: Target | None = None
    """Origin and path of the request; the path is percent-decoded once, as the application routes it."""
    address: str | None = None
    """The client's IP address as a literal, IPv6 without brackets; never taken from an untrusted header."""
    proof_key: KeyThumbprint | None = None
    """The thumbprint of the key in the request's DPoP proof; None without a proof. The caller verifies the
    proof (`dpop_proof`), now or after the caveats are judged, and refuses the request if it does not hold."""
