"""The wall around Authlib: its dispatch of grants and endpoints, with the rules of this package in them."""

from collections.abc import Sequence
from typing import NoReturn

from authlib.oauth2 import AuthorizationServer as AuthlibServer
from authlib.oauth2 import OAuth2Error, rfc7009, rfc7662
from authlib.oauth2.rfc6749 import ClientMixin
from flask import Response

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import (
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import is_from
from macaroon_cbat.service.detail_types import NO_DETAIL_TYPES, DetailTypes
from macaroon_cbat.service.federation.client_assertions import client_of_assertion
from macaroon_cbat.service.federation.federation import Federation
from macaroon_cbat.service.federation.reaching import Place
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.oauth2.client_authentication import (
    authenticated_client,
    is_public,
    lasting,
    let_stay,
    refuse_public,
    refuse_revoked_certificate,
)
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.credentials import (
    PresentedAssertion,
    presented_assertion,
    presented_credentials,
)
from macaroon_cbat.service.oauth2.entitlements import require_proof
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.offered import OFFERED, OfferedGrant
from macaroon_cbat.service.oauth2.introspection import introspection_answer, named_certificate, named_key
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies
from macaroon_cbat.service.oauth2.refresh_introspection import refresh_token_answer, refresh_token_in
from macaroon_cbat.service.oauth2.shapes import IntrospectionForm, RevocationForm
from macaroon_cbat.service.oauth2.token_proofs import TokenProofs
from macaroon_cbat.service.oauth2.token_revocation import revoke
from macaroon_cbat.service.refresh_settings import USUAL_REFRESH, RefreshSettings
from macaroon_cbat.service.throttle.throttle import Throttle
from macaroon_cbat.stores import Client, Stores
from macaroon_cbat.stores.client_keys import certificates_in

_WHY_UNAUTHORIZED = (
    "this client may not use this grant: register it for the grant type, and know that client_credentials is "
    "for confidential clients only"
)


class AuthorizationServer(AuthlibServer):  # type: ignore[misc] # Authlib is untyped
    """Dispatches requests to grants and endpoints, which read its issuer and stores."""

    def __init__(
        self,
        issuer: Issuer,
        stores: Stores,
        trust: ClientTrust,
        offered: Sequence[OfferedGrant] = OFFERED,
        refresh: RefreshSettings = USUAL_REFRESH,
        *,
        federation: Federation,
        proofs: TokenProofs | None = None,
        detail_types: DetailTypes = NO_DETAIL_TYPES,
    ) -> None:
        """Serve this issuer from these stores; `trust` are the CAs of clients, and `offered` the grants."""
        super().__init__()
        self.issuer = issuer
        self.stores = stores
        self.detail_types = detail_types
        self.throttle = Throttle()
        """The limits on attempts; the application puts those of its settings in their place."""
        self.families = RefreshFamilies(issuer.url, stores.families, refresh)
        self.federation = federation
        self._trust = trust
        self._proofs = proofs or TokenProofs(issuer, issuer.url, stores.expiring, needs_nonce=False)
        self.offered = tuple(offered)
        for one in self.offered:
            self.register_grant(one.decides, one.extensions)
        self.register_endpoint(IntrospectionEndpoint)
        self.register_endpoint(RevocationEndpoint)

    def create_token_response(self, request: FormRequest) -> Response:
        """Return the answer of the token endpoint; a client that got a token is there to stay."""
        response: Response = super().create_token_response(request)
        let_stay(getattr(request.client, "record", None), self.stores.clients)
        return response

    def create_oauth2_request(self, request: FormRequest) -> FormRequest:
        """Return the request: the views read it before they call Authlib."""
        return request

    def prove(self, request: FormRequest) -> None:
        """Verify the DPoP proof of a request, if there is one, to an endpoint that binds to its key.

        Views of such endpoints call this before Authlib. Raises InvalidDpopProof or UseDpopNonce.
        """
        request.proof = self._proofs.of_form(request.credentials, request.uri, request.now)

    def authenticate_client(
        self, request: FormRequest, _methods: object, endpoint: str = "token"
    ) -> "RegisteredClient":
        """Return the client that this request authenticates, or raise InvalidClient.

        Raises InvalidDpopProof if its proof was used before, or is missing where the client must send one,
        and TooManyRequests if the limits allow no further attempt.

        Authlib calls this. Each client has one method, so the lists of methods do not matter.
        """
        client, address = self._authenticated(request), request.limited_address()
        if is_public(client):
            self.throttle.public(address)
        else:
            is_from(client.client_id)
            self.throttle.succeeded(client.client_id, address)
        if endpoint == "token":
            require_proof(client, request.proof)
        if request.proof is not None:
            request.proof.use()
        return RegisteredClient(client)

    def _authenticated(self, request: FormRequest) -> Client:
        """Return the client that the credentials or the assertion of a request prove."""
        authorization, secret = request.headers.get("Authorization"), None
        assertion = presented_assertion(authorization, request.form)
        if assertion is None:
            credentials = presented_credentials(
                authorization, request.form, request.presented, request.intermediates
            )
            name, secret = credentials.client_id, credentials.secret
        else:
            name = assertion.client_id or ""
        if secret is not None:
            self.throttle.refuse_guessing(name, request.limited_address())
        try:
            refuse_revoked_certificate(request.presented, self.stores.revocations)
            if assertion is not None:
                return self._asserted(assertion, request.now)
            clients, now = self.stores.clients, request.now
            return authenticated_client(credentials, clients, self._trust, now, self._publishes)
        except InvalidClient:
            self.throttle.failed(name, request.limited_address(), secret=secret)
            raise

    def _asserted(self, sent: PresentedAssertion, now: EpochSeconds) -> Client:
        """Return the client that a JWT proves, its own or that of its workload, or raise InvalidClient."""
        clients, named = self.stores.clients, sent.client_id
        found = client_of_assertion(self.federation, clients, sent.kind, sent.text, client_id=named, now=now)
        return lasting(found, now)

    def _publishes(self, client: Client, certificate: Thumbprint) -> bool:
        """Return True if the client publishes this certificate at its `jwks_uri` (RFC 8705 2.2.2)."""
        place = Place(client.client_id, client.metadata.jwks_uri)
        published = self.federation.published_by_clients
        return published.has(place, lambda keys: certificate in certificates_in(keys))

    def handle_response(self, status: int, body: object, _headers: object) -> Response:
        """Return a JSON response that no cache may store."""
        return answer(body, status)

    def handle_error_response(self, _request: object, error: OAuth2Error) -> NoReturn:
        """Raise our error for Authlib's, so that refusals become responses in one place."""
        match error.error:
            case "unsupported_grant_type":
                types = (one.grant_type for one in self.offered)
                raise UnsupportedGrantType("the grant types are " + " ".join(types))
            case "unauthorized_client":
                raise UnauthorizedClient(_WHY_UNAUTHORIZED)
            case "invalid_grant":
                raise InvalidGrant(error.description or "the grant is not valid")
            case code:
                raise InvalidRequest(error.description or str(code))

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Send nothing: the log lines are written where the reasons are known."""


class RegisteredClient(ClientMixin):  # type: ignore[misc] # Authlib is untyped
    """A stored client behind Authlib's interface."""

    def __init__(self, record: Client) -> None:
        """Take the stored client."""
        self.record = record

    def check_grant_type(self, grant_type: str) -> bool:
        """Return True if the client is registered for this grant type.

        A public client never is for client_credentials (RFC 6749 4.4).
        """
        return grant_type in self.record.metadata.allowed_grants


class IntrospectionEndpoint(rfc7662.IntrospectionEndpoint):  # type: ignore[misc] # Authlib is untyped
    """The introspection endpoint (RFC 7662, RFC 8705 3.2)."""

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, dict[str, object], None]:
        """Return what the calling resource server may know of the token."""
        caller: Client = self.authenticate_endpoint_client(request).record
        refuse_public(caller)  # RFC 7662 2.1: the caller must be authorized
        form = request.read(IntrospectionForm)
        presented = named_certificate(form.client_certificate)
        revoked = self.server.stores.revocations.concerning
        if (refresh := refresh_token_in(form.token)) is not None:
            families: RefreshFamilies = self.server.families
            active = refresh_token_answer(
                refresh, caller, families, request.now, presented=presented, revocations=revoked
            )
            return 200, active, None
        members = introspection_answer(
            form.token,
            caller,
            self.server.issuer,
            revoked,
            request.now,
            presented=presented,
            proof_key=named_key(form.dpop_jkt),
            discharges=request.discharges_of(form.token),
        )
        return 200, members, None


class RevocationEndpoint(rfc7009.RevocationEndpoint):  # type: ignore[misc] # Authlib is untyped
    """The revocation endpoint (RFC 7009), which finds a token by its signature."""

    def create_endpoint_response(self, request: FormRequest) -> tuple[int, dict[str, object], None]:
        """Revoke the token of the authenticated client."""
        client: Client = self.authenticate_endpoint_client(request).record
        form = request.read(RevocationForm)
        revoke(
            form.token,
            client,
            self.server.issuer,
            request.now,
            families=self.server.families,
            revocations=self.server.stores.revocations,
        )
        return 200, {}, None
