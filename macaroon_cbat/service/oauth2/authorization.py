"""The authorization: what a grant decides, before a token is minted for it."""

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Actor
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.signature import OpenedCaveat
from macaroon_cbat.stores import Client


class Authorization(Struct, frozen=True, kw_only=True):
    """The most that a new token allows; every grant comes to one, and one place mints for it."""

    client: Client
    """The authenticated client, or the public one, that gets the token."""
    subject: str
    """The resource owner; for client credentials, the client itself."""
    scope: str
    """Scope tokens with one space between two (RFC 6749 3.3)."""
    audience: str | tuple[str, ...] | None
    """The resource server, canonical; several, or None for any, make a token that is introspected."""
    certificate: Thumbprint | None = None
    """The client certificate to which the token is bound, unless it is None."""
    proof_key: KeyThumbprint | None = None
    """The DPoP key to which the token is bound, unless it is None; `token_response` takes the request's."""
    carried: tuple[bytes | OpenedCaveat, ...] = ()
    """Caveats of the macaroon that was presented: each restricts the new one, too."""
    family: str | None = None
    """The refresh family that the token belongs to."""
    actor: Actor | None = None
    """The party that acts for the subject (RFC 8693 4.1)."""
    is_a_beginning: bool = False
    """True if the request itself is the grant, so that it may name any authorization details (RFC 9396 6)."""
    not_after: EpochSeconds | None = None
    """A second from which on the token is refused at the latest, whatever the lifetime of tokens."""
