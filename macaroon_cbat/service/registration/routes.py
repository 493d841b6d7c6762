"""The routes of dynamic registration (RFC 7591 3, RFC 7592 2)."""

from collections.abc import Callable

from flask import Flask, Response, request

from macaroon_cbat.service.audit import write_done
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.presented_macaroons import has_macaroon
from macaroon_cbat.service.http.request_input import read_json, read_query, refuse_body
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.registration.bounds import Bounds
from macaroon_cbat.service.registration.registrar import REGISTER, Registrar
from macaroon_cbat.service.registration.shapes import (
    RegistrationAnswer,
    RegistrationRequest,
    UpdateRequest,
)
from macaroon_cbat.service.registration.tokens import RegistrationTokens
from macaroon_cbat.stores.clients import CLIENT_NAME

_CLIENT = {"client_id": CLIENT_NAME}
_METADATA = {
    "client_name": "Accounts",
    "redirect_uris": ["http://127.0.0.1:8765/callback"],
    "grant_types": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_method": "none",
}

REGISTER_CLIENT = Operation(
    method="POST",
    path=REGISTER,
    label="register",
    summary="Register as a client, within the bounds of an initial access macaroon",
    caller="registration",
    body=RegistrationRequest,
    example=_METADATA,
    answer=RegistrationAnswer,
    status=201,
    refusals=(429,),
)
READ_REGISTRATION = Operation(
    method="GET",
    path=REGISTER + "/{client_id}",
    label="read_registration",
    summary="Read what this client registered",
    caller="registration",
    names=_CLIENT,
    answer=RegistrationAnswer,
)
REPLACE_REGISTRATION = Operation(
    method="PUT",
    path=REGISTER + "/{client_id}",
    label="replace_registration",
    summary="Replace all that this client registered",
    caller="registration",
    names=_CLIENT,
    body=UpdateRequest,
    example=_METADATA | {"client_id": "billing"},
    answer=RegistrationAnswer,
)
REMOVE_REGISTRATION = Operation(
    method="DELETE",
    path=REGISTER + "/{client_id}",
    label="remove_registration",
    summary="Remove this client and revoke its tokens",
    caller="registration",
    names=_CLIENT,
    status=204,
)
OPERATIONS = (REGISTER_CLIENT, READ_REGISTRATION, REPLACE_REGISTRATION, REMOVE_REGISTRATION)


def metadata(base_url: str) -> dict[str, object]:
    """Return the members about registration in the metadata of the service (RFC 8414 2)."""
    return {"registration_endpoint": base_url + REGISTER}


def registration_routes(
    app: Flask, guard: OwnGuard, is_open: Bounds | None, root_path: str
) -> Callable[[str], dict[str, object]]:
    """Route registration; without a macaroon it is within the bounds `is_open`, or refused without these.

    A caller that is not admitted learns nothing about errors in its request. Returns the members of the
    service's metadata about it.
    """
    tokens = RegistrationTokens(guard)
    registrar = Registrar(guard.stores, guard.issuer.url, guard.clock, write_done)

    def register() -> Response:
        invitation = None if is_open is not None and not has_macaroon(request) else tokens.invitation(request)
        bounds = is_open if invitation is None else invitation.bounds
        assert bounds is not None
        members = _body()
        return answer(registrar.register(members, bounds, invitation), 201)

    def read(client_id: str) -> Response:
        token, _ = tokens.managed(request, client_id)
        _refuse_input()
        return answer(registrar.show(client_id, token))

    def replace(client_id: str) -> Response:
        token, registered = tokens.managed(request, client_id)
        return answer(registrar.replace(client_id, token, _body(), registered))

    def remove(client_id: str) -> Response:
        tokens.managed(request, client_id)
        _refuse_input()
        registrar.remove(client_id)
        return answer(None, 204)

    views: tuple[Callable[..., Response], ...] = (register, read, replace, remove)
    for operation, view in zip(OPERATIONS, views, strict=True):
        add_route(app, operation, view, root_path)
    return metadata


def _body() -> dict[str, object]:
    read_query(request)
    return read_json(request, dict[str, object])


def _refuse_input() -> None:
    """Raise InvalidRequest for a query or body, which would be ignored."""
    read_query(request)
    refuse_body(request)
