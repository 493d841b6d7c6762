"""An upstream provider as its discovery document describes it (OpenID Connect Discovery 1.0)."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from macaroon_cbat.errors.people import LoginUnavailable
from macaroon_cbat.macaroon.audiences import audience_mistake
from macaroon_cbat.macaroon.issuers import OPENID_CONFIGURATION
from macaroon_cbat.service.federation.jose import PublicKeys, usable_keys

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class Provider(Struct, frozen=True):
    """The endpoints and keys of a provider."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    keys: PublicKeys
    takes_basic: bool
    """True if it takes client_secret_basic, which is the default (OpenID Connect Discovery 3)."""
    names_itself: bool
    """True if each of its authorization answers has `iss` (RFC 9207 3)."""


def discovered(issuer: str, read: Callable[[str], dict[str, Any]]) -> Provider:
    """Return the provider of this issuer; `read` returns the JSON object at a URL.

    Its endpoints may be on other hosts, as those of large providers are. Raises LoginUnavailable for a
    document of another issuer, an endpoint without https, and a key set without usable keys.
    """
    url = issuer.removesuffix("/") + OPENID_CONFIGURATION
    document = read(url)
    if document.get("issuer") != issuer:
        raise LoginUnavailable(f"{url} names another issuer: correct MACAROON_CBAT_UPSTREAM_ISSUER")
    for name in _ENDPOINTS:
        if mistake := _mistake(document.get(name)):
            raise LoginUnavailable(f"the {name} in {url} {mistake}")
    try:
        keys = usable_keys(read(document["jwks_uri"]))
    except ValueError as error:
        raise LoginUnavailable(f"the keys at {document['jwks_uri']} are unusable: {error}") from error
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(
        **{name: document[name] for name in _ENDPOINTS},
        keys=keys,
        takes_basic=isinstance(methods, list) and "client_secret_basic" in methods,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _mistake(value: object) -> str | None:
    if not isinstance(value, str) or not value.startswith("https://"):
        return "is missing, or no https URL"
    return audience_mistake(value)
