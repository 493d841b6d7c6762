"""The grants that the token endpoint offers: each type, its form, and Authlib's class of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from macaroon_cbat.service.oauth2.grants.client_credentials import ClientCredentials, ClientCredentialsForm
from macaroon_cbat.service.oauth2.grants.jwt_bearer import JwtBearer, JwtBearerForm
from macaroon_cbat.service.oauth2.grants.refresh_token import RefreshToken, RefreshTokenForm
from macaroon_cbat.service.oauth2.grants.token_exchange import TokenExchange, TokenExchangeForm


class OfferedGrant(NamedTuple):
    """A grant: its type as a client writes it, the form of its requests, and the class that decides."""

    grant_type: str
    form: type[Struct]
    decides: Any
    extensions: Sequence[Any] = ()
    """Authlib's extensions of the class."""


OFFERED = (
    OfferedGrant("client_credentials", ClientCredentialsForm, ClientCredentials),
    OfferedGrant("refresh_token", RefreshTokenForm, RefreshToken),
    OfferedGrant(JwtBearer.GRANT_TYPE, JwtBearerForm, JwtBearer),
    OfferedGrant(TokenExchange.GRANT_TYPE, TokenExchangeForm, TokenExchange),
)
TokenForm = ClientCredentialsForm | RefreshTokenForm | JwtBearerForm | TokenExchangeForm
"""The form of the token endpoint: that of one grant, by its `grant_type`."""
