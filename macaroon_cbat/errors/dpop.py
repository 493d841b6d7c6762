"""The refusals that DPoP adds at resource servers, which answer 401 (RFC 9449 7.1, 9)."""

from macaroon_cbat.errors import InvalidDpopProof, InvalidToken, UseDpopNonce


class ProofRefused(InvalidDpopProof):
    """The DPoP proof of a request to a resource server does not hold for it (RFC 9449 7.1)."""

    status = 401


class NonceRequired(UseDpopNonce):
    """The DPoP proof of a request lacks a nonce of the resource server (RFC 9449 9)."""

    status = 401


class NotKeyBound(InvalidToken):
    """An authentic macaroon has no confirmation by a key, and the request or the guard requires one."""

    fixed_description = "the token is not bound to a DPoP key: append a cnf caveat with the key's jkt"


class NotBound(InvalidToken):
    """An authentic macaroon has no confirmation at all, and the resource server requires one."""

    fixed_description = (
        "the token is bound to no certificate and no DPoP key: append a cnf caveat with x5t#S256 or jkt"
    )
