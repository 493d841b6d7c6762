"""The client of a token request, which must be registered for the grant that it requests."""

from typing import Any

from authlib.oauth2.rfc6749 import UnauthorizedClientError


def authenticate_registered(grant: Any) -> None:
    """Authenticate the client of a grant of Authlib's, and refuse one that is not registered for it."""
    client = grant.authenticate_token_endpoint_client()
    if not client.check_grant_type(grant.GRANT_TYPE):
        raise UnauthorizedClientError
    grant.request.client = client
