"""The wall around Authlib: its token, introspection and revocation endpoints, with our rooms in them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn
from urllib.parse import urljoin

from authlib.oauth2 import AuthorizationServer as AuthlibServer
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Payload, OAuth2Request
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from flask import Response, request

from macaroon_cbat.certificate.source import CertificateSource, PresentedCertificate, intermediates_of
from macaroon_cbat.certificate.thumbprint import Thumbprint, parse_thumbprint
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import InvalidClient, InvalidRequest, UnauthorizedClient, UnsupportedGrantType
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import is_from, write_minted
from macaroon_cbat.service.http.request_input import Form, read_form, required
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.oauth2.client_authentication import (
    Intermediates,
    authenticate_client,
    is_public,
    presented_credentials,
    refuse_public,
)
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.grants import granted_audience, granted_scope, one_resource
from macaroon_cbat.service.oauth2.introspection import introspection_answer
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.token_revocation import revoke
from macaroon_cbat.service.presenting import refuse_hidden
from macaroon_cbat.stores import Client, Stores
from macaroon_cbat.stores.clients import GRANT_TYPE

GRANT_TYPES = (GRANT_TYPE,)


class FormRequest(OAuth2Request):  # type: ignore[misc] # Authlib is untyped
    """One POST: its form, the certificate of its connection, and the second at which it came."""

    def __init__(
        self,
        uri: str,
        form: Form,
        presented: PresentedCertificate,
        intermediates: Intermediates,
        now: EpochSeconds,
    ) -> None:
        """Take what was read of the request; `uri` is built from the issuer, never from Host."""
        super().__init__("POST", uri, headers=request.headers)
        self.payload = _FormPayload(form.once)
        self.resources = form.several.get("resource", ())
        self.presented = presented
        self.intermediates = intermediates
        self.now = now

    @property
    def form(self) -> dict[str, str]:
        """Return the body's parameters."""
        form: dict[str, str] = self.payload.data
        return form


class AuthorizationServer(AuthlibServer):  # type: ignore[misc] # Authlib is untyped
    """Dispatches grants and endpoints; holds no rule of its own."""

    def __init__(
        self,
        issuer: Issuer,
        stores: Stores,
        trust: ClientTrust,
        certificate_source: CertificateSource,
        clock: Callable[[], float],
    ) -> None:
        """Serve this issuer from these stores."""
        super().__init__()
        self.issuer = issuer
        self.stores = stores
        self._trust = trust
        self._certificate_source = certificate_source
        self._clock = clock
        self.register_grant(ClientCredentials)
        self.register_endpoint(Introspection)
        self.register_endpoint(Revocation)

    def create_token_response(self, _request: object = None) -> Response:
        """Answer a token request, or raise an OAuthError."""
        form_request = self._read(several=("resource",))
        required(form_request.form, "grant_type")
        response: Response = super().create_token_response(form_request)
        return response

    def create_oauth2_request(self, request_: object) -> FormRequest:
        """Read the Flask request at hand; one that is read already stays as it is."""
        return request_ if isinstance(request_, FormRequest) else self._read()

    def _read(self, *, several: tuple[str, ...] = ()) -> FormRequest:
        form = read_form(request, ignored=("token_type_hint",), several=several)
        now = EpochSeconds(int(self._clock()))
        connection = WsgiConnection(request.environ)
        sent = partial(intermediates_of, self._certificate_source, connection)
        return FormRequest(
            urljoin(self.issuer.url, request.path), form, self._certificate_source(connection), sent, now
        )

    def authenticate_client(self, request_: FormRequest, _methods: object, _endpoint: str = "token") -> Any:
        """Return the client that this request authenticates, or raise InvalidClient."""
        authorization = request_.headers.get("Authorization")
        credentials = presented_credentials(
            authorization, request_.form, request_.presented, request_.intermediates
        )
        thumbprint = request_.presented.thumbprint
        if thumbprint is not None and self.stores.revocations.has_certificate(thumbprint):
            raise InvalidClient(f"the certificate {thumbprint} is revoked")
        client = authenticate_client(credentials, self.stores.clients, self._trust, request_.now)
        if not is_public(client):
            is_from(client.client_id)
        return RegisteredClient(client)

    def handle_response(self, status: int, body: object, _headers: object) -> Response:
        """Return the answer as JSON that nobody may store."""
        return answer(body, status)

    def handle_error_response(self, _request: object, error: OAuth2Error) -> NoReturn:
        """Raise our error for Authlib's, so that refusals become answers in one place."""
        match error.error:
            case "unsupported_grant_type":
                raise UnsupportedGrantType("the grant types are " + " ".join(GRANT_TYPES))
            case "unauthorized_client":
                raise UnauthorizedClient("client_credentials is for confidential clients only")
            case code:
                raise InvalidRequest(error.description or str(code))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Send nothing: the log lines are written where the reasons are known."""


class RegisteredClient(ClientMixin):  # type: ignore[misc] # Authlib is untyped
    """A stored client, as Authlib asks about it."""

    def __init__(self, record: Client) -> None:
        """Take the stored client."""
        self.record = record

    def check_grant_type(self, grant_type: str) -> bool:
        """Return True if the client may use this grant type; a public one may not (RFC 6749 4.4)."""
        return grant_type in GRANT_TYPES and not is_public(self.record)


class ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc] # Authlib is untyped
    """RFC 6749 4.4: the client asks for a macaroon in its own name."""

    def validate_requested_scope(self) -> None:
        """Settle scope and audience, or raise InvalidScope or InvalidTarget."""
        client: Client = self.request.client.record
        form: dict[str, str] = self.request.form
        issuer: str = self.server.issuer.audience
        self.audience = granted_audience(client, one_resource(self.request.resources), issuer)
        self.scope = granted_scope(client, form.get("scope"), self.audience, issuer)

    def create_token_response(self) -> tuple[int, dict[str, object], None]:
        """Return the token answer (RFC 6749 5.1)."""
        issuer: Issuer = self.server.issuer
        if self.request.client.record.metadata.tls_client_certificate_bound_access_tokens:
            refuse_hidden(self.request.presented)
        minted = issuer.mint_for(
            self.request.client.record,
            self.scope,
            self.audience,
            self.request.presented.thumbprint,
            self.request.now,
        )
        write_minted(minted)
        members = {
            "access_token": minted.text,
            "token_type": "Bearer",
            "expires_in": issuer.lifetime,
            "scope": minted.grant.scope,
        }
        return 200, members, None


class Introspection(IntrospectionEndpoint):  # type: ignore[misc] # Authlib is untyped
    """RFC 7662, RFC 8705 3.2."""

    def create_endpoint_response(self, request_: FormRequest) -> tuple[int, dict[str, object], None]:
        """Return what the asking resource server may know of the token."""
        caller: Client = self.authenticate_endpoint_client(request_).record
        refuse_public(caller)  # RFC 7662 2.1: who asks must be authorized
        text = required(request_.form, "token")
        presented = _presented(request_.form)
        revoked = self.server.stores.revocations.concerning
        members = introspection_answer(
            text, caller, self.server.issuer, revoked, request_.now, presented=presented
        )
        return 200, members, None


class Revocation(RevocationEndpoint):  # type: ignore[misc] # Authlib is untyped
    """RFC 7009. Every hint is ignored (2.1): a token is found by its signature."""

    def create_endpoint_response(self, request_: FormRequest) -> tuple[int, dict[str, object], None]:
        """Revoke the token of the authenticated client."""
        client: Client = self.authenticate_endpoint_client(request_).record
        text = required(request_.form, "token")
        revoke(text, client, self.server.issuer, self.server.stores.revocations, request_.now)
        return 200, {}, None


def _presented(form: dict[str, str]) -> Thumbprint | None:
    """Return the certificate that the token came with, where the caller says it, or raise InvalidRequest."""
    try:
        return parse_thumbprint(form["client_certificate"]) if "client_certificate" in form else None
    except ValueError as error:
        raise InvalidRequest(f"client_certificate: {error}") from error


class _FormPayload(OAuth2Payload):  # type: ignore[misc] # Authlib is untyped
    def __init__(self, form: dict[str, str]) -> None:
        self._form = form

    @property
    def data(self) -> dict[str, str]:
        return self._form
