"""The device authorization endpoint (RFC 8628 3.1): a device without a browser asks for a person's access."""

from collections.abc import Callable, Mapping

from flask import Flask, Response, request
from msgspec import Struct

from macaroon_cbat.errors import UnauthorizedClient
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.request_input import FORM
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.oauth2.authorization_details import requested_details
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_authentication import is_public
from macaroon_cbat.service.oauth2.device_codes import INTERVAL, LIFETIME, DeviceCodes, DeviceRequest
from macaroon_cbat.service.oauth2.entitlements import granted_audience, granted_scope, named_resources
from macaroon_cbat.service.oauth2.form_request import FormRequest, read_form_request
from macaroon_cbat.service.oauth2.owner_rights import refuse_operators_rights
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.grant_types import DEVICE_CODE

DEVICE_PATH = "/device"
"""The path of the page at which a person enters a user code."""


class DeviceAuthorizationForm(Struct, frozen=True):
    """A request of a device (RFC 8628 3.1, RFC 8707, RFC 9396)."""

    scope: RequestedScope | None = None
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class DeviceAuthorizationAnswer(Struct, frozen=True):
    """The codes for the device and for the person (RFC 8628 3.2); times are seconds."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int
    interval: int


DEVICE_AUTHORIZATION = Operation(
    method="POST",
    path="/oauth2/device_authorization",
    label="device_authorization",
    summary="Begin the login of a device without a browser (RFC 8628)",
    caller="client",
    body=DeviceAuthorizationForm,
    body_type=FORM,
    example={"client_id": "terminal", "scope": "read", "resource": "https://api.example"},
    answer=DeviceAuthorizationAnswer,
)


def metadata(base_url: str) -> Mapping[str, object]:
    """Return the members of the metadata document (RFC 8628 4)."""
    return {"device_authorization_endpoint": base_url + DEVICE_AUTHORIZATION.path}


def device_authorization_route(
    app: Flask, server: AuthorizationServer, clock: Callable[[], float], root_path: str
) -> None:
    """Route the endpoint; its page is routed elsewhere."""
    issuer = server.issuer
    codes = DeviceCodes(server.stores.expiring)

    def begin() -> Response:
        now = EpochSeconds(int(clock()))
        form_request = read_form_request(
            request, issuer.url + DEVICE_AUTHORIZATION.path, now, several=("resource",)
        )
        server.prove(form_request)
        begun = codes.begin(_asked(server, form_request))
        page = issuer.url + DEVICE_PATH
        complete = f"{page}?user_code={begun.user_code}"
        return answer(
            DeviceAuthorizationAnswer(begun.device_code, begun.user_code, page, complete, LIFETIME, INTERVAL)
        )

    add_route(app, DEVICE_AUTHORIZATION, begin, root_path)


def _asked(server: AuthorizationServer, form_request: FormRequest) -> DeviceRequest:
    """Return the request of a client that may make it.

    A client that proves a DPoP key here must poll with it; any client may prove one when it polls. Raises
    InvalidClient, UnauthorizedClient, InvalidTarget, InvalidScope or InvalidAuthorizationDetails.
    """
    client: Client = server.authenticate_client(form_request, None, "device_authorization").record
    if DEVICE_CODE not in client.metadata.allowed_grants:
        raise UnauthorizedClient(f"this client may not use this grant: register it for {DEVICE_CODE}")
    form = form_request.read(DeviceAuthorizationForm)
    own = server.issuer.audience
    audience = granted_audience(client, named_resources(form_request.resources), own)
    scope = granted_scope(client, form.scope, audience, own)
    refuse_operators_rights(audience, scope, own)
    types = server.detail_types.current()
    details = requested_details(form.authorization_details, client, audience, types)
    return DeviceRequest(
        client_id=client.client_id,
        scope=scope,
        audience=audience,
        carried=() if details is None else (details.caveat,),
        detail_lines=() if details is None else details.consent_lines(types),
        begun_at=form_request.now,
        certificate=form_request.presented.thumbprint if is_public(client) else None,
        proof_key=form_request.proof_key,
        address=form_request.address(),
    )
