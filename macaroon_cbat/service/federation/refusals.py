"""The refusals of a JWT. The door that it came through turns them into the error that its RFC demands."""

from macaroon_cbat.errors import MacaroonError


class UnacceptableJwt(MacaroonError):
    """The JWT is malformed, of an unknown issuer, expired, replayed or meant for another service."""


class NoSuchKey(UnacceptableJwt):
    """No key that is known of the issuer verifies the JWT: the issuer may have rotated its keys."""
