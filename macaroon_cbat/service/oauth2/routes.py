"""The routes under /oauth2: operations, and the views that read their forms and call Authlib."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Union

from flask import Flask, Response

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.http.operations import SHORTENED, Operation, add_route
from macaroon_cbat.service.http.request_input import FORM, request_at_hand, required
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.form_request import FormRequest, read_form_request
from macaroon_cbat.service.oauth2.grants.offered import OfferedGrant, TokenForm
from macaroon_cbat.service.oauth2.shapes import (
    IntrospectionAnswer,
    IntrospectionForm,
    RevocationForm,
    TokenAnswer,
)

PAR_PATH = "/oauth2/par"
"""The endpoint for pushed authorization requests, which is there if people can log in."""

TOKEN = Operation(
    method="POST",
    path="/oauth2/token",
    label="token",
    summary="Get a macaroon by one of the grants",
    caller="client",
    body=TokenForm,
    body_type=FORM,
    example={"grant_type": "client_credentials", "scope": "read", "resource": "https://api.example"},
    answer=TokenAnswer,
)
INTROSPECT = Operation(
    method="POST",
    path="/oauth2/introspect",
    label="introspect",
    summary="Introspect a token, as a resource server of its audience or as its own client",
    caller="client",
    body=IntrospectionForm,
    body_type=FORM,
    example={"token": SHORTENED},
    answer=IntrospectionAnswer,
    answer_example={"active": False},
)
REVOKE = Operation(
    method="POST",
    path="/oauth2/revoke",
    label="revoke",
    summary="Revoke a token and all its children, as the client that it was issued to",
    caller="client",
    body=RevocationForm,
    body_type=FORM,
    example={"token": SHORTENED},
    answer=dict[str, str],
    answer_example={},
)
OPERATIONS = (TOKEN, INTROSPECT, REVOKE)


def metadata(base: str) -> Mapping[str, object]:
    """Return the members of the metadata document about the OAuth endpoints (RFC 8414 2)."""
    return {
        "token_endpoint": base + TOKEN.path,
        "introspection_endpoint": base + INTROSPECT.path,
        "revocation_endpoint": base + REVOKE.path,
    }


def token_operation(offered: Sequence[OfferedGrant]) -> Operation:
    """Return the operation of the token endpoint with the forms of these grants."""
    forms: Any = Union[tuple(one.form for one in offered)]  # noqa: UP007 # of a number that is not known here
    return replace(TOKEN, body=forms)


def assertion_audiences(locations: Locations) -> frozenset[str]:
    """Return the values of `aud` that mean this service in an assertion of a client (RFC 7523 3).

    They are its issuer, and by either of its URLs its endpoints for tokens and for pushed requests (RFC 9126
    2). An assertion is used once, so the one endpoint cannot send it on to the other.
    """
    bases = (locations.issuer, locations.mtls_url)
    endpoints = (base + path for base in bases for path in (TOKEN.path, PAR_PATH))
    return frozenset({locations.issuer, *endpoints})


def oauth_routes(app: Flask, server: AuthorizationServer, clock: Callable[[], float], root_path: str) -> None:
    """Route the OAuth endpoints to this server; the clock is read once a request."""
    issuer = server.issuer.url

    def read(operation: Operation, *several: str) -> FormRequest:
        uri, now = issuer + operation.path, EpochSeconds(int(clock()))
        return read_form_request(request_at_hand(), uri, now, several=several)

    def token() -> Response:
        form_request = read(TOKEN, "resource")
        required(form_request.form, "grant_type")
        form_request.detail_types = server.detail_types
        server.prove(form_request)
        response: Response = server.create_token_response(form_request)
        return response

    def introspect() -> Response:
        response: Response = server.create_endpoint_response("introspection", read(INTROSPECT))
        return response

    def revoke() -> Response:
        response: Response = server.create_endpoint_response("revocation", read(REVOKE))
        return response

    for operation, view in ((TOKEN, token), (INTROSPECT, introspect), (REVOKE, revoke)):
        add_route(app, operation, view, root_path)
