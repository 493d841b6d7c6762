"""Proof Key for Code Exchange (RFC 7636), S256 alone and for every client (RFC 9700 2.1.1)."""

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.text.base64url import spells_32_bytes

METHOD = "S256"


def required_challenge(challenge: str | None, method: str | None) -> str:
    """Return the challenge of an authorization request.

    A request without a method would mean `plain` (RFC 7636 4.3), which protects no code that leaks with its
    request. Raises InvalidRequest for a missing or malformed challenge and for another method.
    """
    if challenge is None:
        raise InvalidRequest("code_challenge is missing: every client must use PKCE (RFC 9700 2.1.1)")
    if method != METHOD:
        raise InvalidRequest(f"code_challenge_method is not supported: send code_challenge_method={METHOD}")
    if not spells_32_bytes(challenge):
        raise InvalidRequest(
            "code_challenge is malformed: send the SHA-256 of the code_verifier as base64url, 43 characters"
        )
    return challenge
