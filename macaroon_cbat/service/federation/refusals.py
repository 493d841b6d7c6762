"""The refusals of a JWT. The door that it came through turns them into the error that its RFC demands."""

from macaroon_cbat.errors import MacaroonError

UNTRUSTED = "the JWT is not one that is trusted here: its issuer, key or claims do not fit"
"""The words for a client that is not to learn which issuers, clients and claims the operator trusts."""


class UnacceptableJwt(MacaroonError):
    """The JWT is malformed, of an unknown issuer, expired, replayed or meant for another service.

    `told` is the part of the reason that the client may learn, by default all of it.
    """

    def __init__(self, reason: str, told: str | None = None) -> None:
        super().__init__(reason)
        self.told = told or reason


class NoSuchKey(UnacceptableJwt):
    """No key that is known of the issuer verifies the JWT: the issuer may have rotated its keys."""
