"""The JWT bearer grant (RFC 7523 2.1): the JWT of a trusted issuer becomes a macaroon."""

from authlib.oauth2.rfc6749 import BaseGrant, TokenEndpointMixin
from msgspec import Struct

from macaroon_cbat.service.oauth2.foreign_subjects import bearer_jwt
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.token_response import token_response
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope, TokenAnswer
from macaroon_cbat.stores.grant_types import JWT_BEARER


class JwtBearerForm(Struct, frozen=True, tag_field="grant_type", tag=JWT_BEARER):
    """A token request by the JWT of a trusted issuer (RFC 7523 2.1)."""

    assertion: str
    scope: RequestedScope | None = None
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class JwtBearer(BaseGrant, TokenEndpointMixin):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface.

    Authlib's own one (rfc7523.JWTBearerGrant) resolves one client for each issuer and subject, and knows
    neither audiences nor claims that the operator demands.
    """

    GRANT_TYPE = JWT_BEARER

    def validate_token_request(self) -> None:
        """Leave it to `create_token_response`: the JWT decides whether a client must authenticate."""

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer (RFC 6749 5.1)."""
        request: FormRequest = self.request
        form = request.read(JwtBearerForm)
        authorization, uses = bearer_jwt(self.server, request, form.assertion)
        return 200, token_response(self.server.issuer, request, authorization, uses), None
