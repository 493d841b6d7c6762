"""The end of every grant: a token is minted for what was authorized, audited, and answered."""

from macaroon_cbat.service.audit import write_minted, write_or_log_key_changes
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.shapes import TokenAnswer


def token_response(issuer: Issuer, request: FormRequest, authorization: Authorization) -> TokenAnswer:
    """Return the answer with a new token (RFC 6749 5.1); the audit log has it before the client.

    Raises Unavailable if the database is out of reach, or the token cannot be audited.
    """
    write_or_log_key_changes(issuer.keep_keys(request.now), request.now)
    minted = issuer.mint(authorization, request.now)
    write_minted(minted.grant, authorization.certificate)
    lifetime = minted.grant.exp - request.now
    return TokenAnswer(minted.text, "Bearer", lifetime, authorization.scope)
