"""The URLs of authorization answers (RFC 6749 4.1.2, 4.1.2.1), each with the issuer in it (RFC 9207).

Authlib's answer is not used: it decodes and re-encodes the query of a registered redirect URI, which then is
another URI, and it leaves out an issuer where an error has no redirect.
"""

from urllib.parse import quote, urlencode

from macaroon_cbat.errors import OAuthError


def code_url(redirect_uri: str, code: str, state: str | None, issuer: str) -> str:
    """Return the redirect URI with a code; `state` is returned as it came."""
    return _with(redirect_uri, {"code": code}, state, issuer)


def refusal_url(redirect_uri: str, error: OAuthError, state: str | None, issuer: str) -> str:
    """Return the redirect URI with an error."""
    told = {"error": error.code or "invalid_request", "error_description": error.description}
    return _with(redirect_uri, told, state, issuer)


def _with(redirect_uri: str, members: dict[str, str], state: str | None, issuer: str) -> str:
    """Return the URI with further query parameters. What stands in it already is not touched.

    Every character that could end a header or a parameter is percent-encoded.
    """
    known = {} if state is None else {"state": state}
    query = urlencode(members | known | {"iss": issuer}, quote_via=quote, safe="")
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{query}"
