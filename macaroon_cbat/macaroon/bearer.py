"""The headers Authorization and WWW-Authenticate (RFC 6750, RFC 9449 7, RFC 9728 5.1)."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from macaroon_cbat.errors import InsufficientScope, InvalidRequest, MissingToken, OAuthError
from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS

_SECOND_CREDENTIAL = re.compile(r",\s*[A-Za-z][A-Za-z0-9-]* ")


Scheme = Literal["Bearer", "DPoP"]

BEARER: tuple[Scheme, ...] = ("Bearer",)
_SCHEMES: dict[str, Scheme] = {"bearer": "Bearer", "dpop": "DPoP"}


def read_credentials(authorization: str | tuple[str, ...] | None) -> tuple[Scheme, str]:
    """Return the scheme and the token text of an Authorization header.

    Raises MissingToken without a header or for another scheme, and InvalidRequest for two headers, which some
    servers join with a comma.
    """
    if isinstance(authorization, tuple):
        if len(authorization) > 1:
            raise InvalidRequest("the request has more than one Authorization header: send one")
        authorization = authorization[0] if authorization else None
    if authorization is None:
        raise MissingToken(f"no Authorization header came: {MissingToken.fixed_description}")
    name, _, token = authorization.partition(" ")
    if "," in authorization and _SECOND_CREDENTIAL.search(authorization):
        raise InvalidRequest("the request has more than one Authorization header: send one")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        raise MissingToken(
            f"the Authorization scheme is neither Bearer nor DPoP: {MissingToken.fixed_description}"
        )
    return scheme, token.strip(" ")


def challenge(
    error: OAuthError,
    *,
    realm: str,
    resource_metadata: str | None = None,
    schemes: Sequence[Scheme] = BEARER,
    authorization: str | tuple[str, ...] | None = None,
) -> str:
    """Return the WWW-Authenticate value for a refusal (RFC 6750 3, RFC 9449 7.1).

    `resource_metadata` is the URL of the document that names the issuer (RFC 9728 5.1). `schemes` are those
    that the server asks for. The error stands in the challenge of the scheme that the request used: that is
    DPoP if its `authorization` is, which is taken everywhere.
    """
    common = {"realm": realm}
    if resource_metadata is not None:
        common["resource_metadata"] = resource_metadata
    first, *others = _ordered(schemes, authorization)
    return ", ".join([_challenge(first, common, error), *(_challenge(one, common) for one in others)])


def _ordered(schemes: Sequence[Scheme], authorization: str | tuple[str, ...] | None) -> Sequence[Scheme]:
    """Return the schemes to name: the one that the request used before the others."""
    try:
        used, _ = read_credentials(authorization)
    except OAuthError:
        return schemes
    if used == "DPoP" or used in schemes:
        return (used, *(scheme for scheme in schemes if scheme != used))
    return schemes


def _challenge(scheme: Scheme, common: Mapping[str, str], error: OAuthError | None = None) -> str:
    parameters = {"realm": common["realm"]}
    if error is not None and error.code is not None:
        parameters |= {"error": error.code, "error_description": error.description}
    if isinstance(error, InsufficientScope):
        parameters["scope"] = error.scope
    parameters |= common
    if scheme == "DPoP":
        parameters["algs"] = " ".join(SIGNING_ALGORITHMS)
    return f"{scheme} " + ", ".join(f'{name}="{_quotable(value)}"' for name, value in parameters.items())


def _quotable(value: str) -> str:
    """Return the value as the inside of a quoted-string (RFC 9110 5.6.4)."""
    return value.replace("\\", "\\\\").replace('"', '\\"')
