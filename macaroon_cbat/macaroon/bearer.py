"""The headers Authorization and WWW-Authenticate (RFC 6750, RFC 9728 5.1)."""

import re

from macaroon_cbat.errors import InsufficientScope, InvalidRequest, MissingToken, OAuthError

_SECOND_CREDENTIAL = re.compile(r",\s*[A-Za-z][A-Za-z0-9-]* ")


def read_bearer(authorization: str | tuple[str, ...] | None) -> str:
    """Return the token text of an Authorization header.

    Raises MissingToken without a header or for another scheme, and InvalidRequest for two headers, which some
    servers join with a comma.
    """
    if isinstance(authorization, tuple):
        if len(authorization) > 1:
            raise InvalidRequest("the request has more than one Authorization header: send one")
        authorization = authorization[0] if authorization else None
    if authorization is None:
        raise MissingToken(f"no Authorization header came: {MissingToken.fixed_description}")
    scheme, _, token = authorization.partition(" ")
    if _SECOND_CREDENTIAL.search(authorization):
        raise InvalidRequest("the request has more than one Authorization header: send one")
    if scheme.lower() != "bearer":
        raise MissingToken(f"the Authorization scheme is not Bearer: {MissingToken.fixed_description}")
    return token.strip(" ")


def challenge(error: OAuthError, *, realm: str, resource_metadata: str | None = None) -> str:
    """Return the WWW-Authenticate value for a refusal (RFC 6750 3).

    `resource_metadata` is the URL of the document that names the issuer (RFC 9728 5.1).
    """
    parameters = {"realm": realm}
    if error.code is not None:
        parameters |= {"error": error.code, "error_description": error.description}
    if isinstance(error, InsufficientScope):
        parameters["scope"] = error.scope
    if resource_metadata is not None:
        parameters["resource_metadata"] = resource_metadata
    return "Bearer " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items())


def _quotable(value: str) -> str:
    """Return the value as the inside of a quoted-string (RFC 9110 5.6.4)."""
    return value.replace("\\", "\\\\").replace('"', '\\"')
