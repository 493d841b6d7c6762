"""The metadata that a client requests for itself, read and held within the bounds of its invitation."""

import msgspec

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.service.registration.bounds import Bounds, in_bounds, refuse_beyond
from macaroon_cbat.service.registration.rules import refuse_registration
from macaroon_cbat.service.registration.shapes import RegistrationRequest
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.client_rules import KEY_METHODS
from macaroon_cbat.stores.clients import metadata_from

REGISTRABLE = tuple(name for name in RegistrationRequest.__struct_fields__ if name != "response_types")
"""The members that a client may register itself; `serves` is none, which would give it an audience's keys."""


def metadata_within(members: dict[str, object], bounds: Bounds, issuer: str) -> ClientMetadata:
    """Return the metadata to register for a request, within these bounds.

    Members that are unknown here are ignored, as RFC 7591 2 demands of this endpoint: clients send what other
    servers know. (An administrator's mistyped restriction is refused, because it was meant for this service.)
    A member that is null or empty text is absent (RFC 7592 2.2). Raises InvalidClientMetadata or
    InvalidRedirectUri.
    """
    given = {name: members[name] for name in REGISTRABLE if members.get(name) not in (None, "")}
    types = members.get("response_types")
    known = _filled_in(given, bounds) | ({} if types is None else {"response_types": types})
    metadata = metadata_from(known)
    _refuse_code_without_grant(types, metadata)
    refuse_beyond(metadata, bounds)
    refuse_registration(metadata, issuer)
    return metadata


def _filled_in(given: dict[str, object], bounds: Bounds) -> dict[str, object]:
    """Return the members with the defaults of RFC 7591 2, and without keys that the method does not read."""
    methods, scope = bounds.token_endpoint_auth_methods, given.get("scope")
    default = "client_secret_basic" if "client_secret_basic" in methods else next(iter(methods), None)
    method = given.get("token_endpoint_auth_method", default)
    if scope is not None and not isinstance(scope, str):
        raise InvalidClientMetadata("scope: write scopes with one space between two")
    known = {"audiences": list(bounds.audiences)} | given
    known |= {"token_endpoint_auth_method": method, "scope": in_bounds(scope, bounds)}
    if "grant_types" not in given and "redirect_uris" in given:
        known["grant_types"] = ["authorization_code"]
    if method == "none" and given.get("dpop_bound_access_tokens") is not True:
        known["tls_client_certificate_bound_access_tokens"] = True
    unread = () if method in KEY_METHODS else ("jwks", "jwks_uri")
    return {name: value for name, value in known.items() if name not in unread}


def replaced(before: ClientMetadata, wanted: ClientMetadata) -> ClientMetadata:
    """Return the metadata with what a client may register itself replaced; an administrator's part stays."""
    return msgspec.structs.replace(before, **{name: getattr(wanted, name) for name in REGISTRABLE})


def _refuse_code_without_grant(types: object, metadata: ClientMetadata) -> None:
    if types and "authorization_code" not in metadata.allowed_grants:
        raise InvalidClientMetadata("response_types: code goes with authorization_code: add that grant type")
