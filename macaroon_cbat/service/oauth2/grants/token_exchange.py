"""The token exchange grant (RFC 8693): a token of this service or of a trusted issuer gives another one."""

from authlib.oauth2.rfc6749.grants import BaseGrant, TokenEndpointMixin
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.foreign_subjects import exchanged_jwt, is_foreign
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.registered_client import authenticate_registered
from macaroon_cbat.service.oauth2.grants.token_response import token_response
from macaroon_cbat.service.oauth2.macaroon_exchange import MacaroonExchange, WantedExchange
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope, TokenAnswer
from macaroon_cbat.stores.grant_types import TOKEN_EXCHANGE

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


class TokenExchangeForm(Struct, frozen=True, tag_field="grant_type", tag=TOKEN_EXCHANGE):
    """An exchange (RFC 8693 2.1); `audience` is another name of `resource` here."""

    subject_token: str
    subject_token_type: str
    actor_token: str | None = None
    actor_token_type: str | None = None
    requested_token_type: str | None = None
    resource: str | None = None
    authorization_details: str | None = None
    audience: str | None = None
    scope: RequestedScope | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class TokenExchange(BaseGrant, TokenEndpointMixin):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface; Authlib has none of its own."""

    GRANT_TYPE = TOKEN_EXCHANGE

    def validate_token_request(self) -> None:
        """Leave the client to `create_token_response`: a foreign subject token may be its only credential."""

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer (RFC 8693 2.2.1) for the exchanged token."""
        request: FormRequest = self.request
        form = request.read(TokenExchangeForm)
        _refuse_other_requests(form)
        if form.audience is not None:
            request.resources = (*request.resources, form.audience)
        token, kind = form.subject_token, form.subject_token_type
        issuer = self.server.issuer
        # The new token ends with its subject token: a refresh token would outlive both.
        if is_foreign(kind, token):
            authorization, uses = exchanged_jwt(self.server, request, token, kind)
            answered = token_response(issuer, request, authorization, uses)
        else:
            answered = token_response(issuer, request, self._exchanged(form))
        return 200, replace(answered, issued_token_type=ACCESS_TOKEN), None

    def _exchanged(self, form: TokenExchangeForm) -> Authorization:
        """Return the authorization by a macaroon of this service, for a client that authenticates."""
        _refuse_other_tokens(form)
        authenticate_registered(self)
        client, request = self.request.client.record, self.request
        wanted = WantedExchange(form.subject_token, form.actor_token, request.resources, form.scope)
        exchange = MacaroonExchange(client, request, self.server.issuer, self.server.stores)
        return exchange.authorization(wanted)


def _refuse_other_requests(form: TokenExchangeForm) -> None:
    """Raise InvalidRequest for a type of token that this service never gives."""
    if form.requested_token_type not in (None, ACCESS_TOKEN):
        raise InvalidRequest(f"requested_token_type is unknown: send {ACCESS_TOKEN}, or leave it out")


def _refuse_other_tokens(form: TokenExchangeForm) -> None:
    """Raise InvalidRequest for types of tokens that this service does not take."""
    if form.subject_token_type != ACCESS_TOKEN:
        raise InvalidRequest(f"subject_token_type is unknown: send {ACCESS_TOKEN}")
    if (form.actor_token is None) != (form.actor_token_type is None):
        raise InvalidRequest("actor_token and actor_token_type go together: send both or neither")
    if form.actor_token_type not in (None, ACCESS_TOKEN):
        raise InvalidRequest(f"actor_token_type is unknown: send {ACCESS_TOKEN}")
