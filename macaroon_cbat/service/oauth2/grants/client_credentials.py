"""The client credentials grant (RFC 6749 4.4): a client gets a macaroon in its own name."""

from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from msgspec import Struct

from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.entitlements import (
    granted_audience,
    granted_certificate,
    granted_scope,
    named_resources,
)
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.token_response import token_response
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope, TokenAnswer
from macaroon_cbat.stores import Client


class ClientCredentialsForm(Struct, frozen=True, tag_field="grant_type", tag="client_credentials"):
    """A token request (RFC 6749 4.4, RFC 8707); a client without a secret names itself by `client_id`."""

    scope: RequestedScope | None = None
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface."""

    def validate_requested_scope(self) -> None:
        """Leave the scope to `create_token_response`, which settles it together with the audience."""

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer (RFC 6749 5.1) for the client that Authlib has let authenticate."""
        request: FormRequest = self.request
        client: Client = request.client.record
        issuer: Issuer = self.server.issuer
        form = request.read(ClientCredentialsForm)
        audience = granted_audience(client, named_resources(request.resources), issuer.audience)
        authorization = Authorization(
            client=client,
            subject=client.client_id,
            scope=granted_scope(client, form.scope, audience, issuer.audience),
            audience=audience,
            certificate=granted_certificate(client, request.presented),
            is_a_beginning=True,
        )
        return 200, token_response(issuer, request, authorization), None
