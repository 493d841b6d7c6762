"""The authorization code grant (RFC 6749 4.1): a code of a person's approval becomes a token.

Authlib checks the redirect URI and the code verifier (RFC 7636, S256 alone). A code that comes with the wrong
verifier, client or redirect URI has leaked: it is used up by that. A good one is used together with the
beginning of its family, so a client may try again if the database failed before.
"""

from contextlib import suppress
from typing import NoReturn

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from msgspec import UNSET, Struct

from macaroon_cbat.errors import InvalidGrant, OAuthError
from macaroon_cbat.errors.people import CodeUsedTwice, UnknownCode
from macaroon_cbat.service.audit import write_or_log_done
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.codes import Approval, Codes, use_of
from macaroon_cbat.service.oauth2.entitlements import (
    granted_certificate,
    granted_scope,
    named_resources,
    narrowed_audience,
)
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.offered import OfferedGrant
from macaroon_cbat.service.oauth2.grants.token_response import family_response, token_response
from macaroon_cbat.service.oauth2.owner_rights import reason_of_end
from macaroon_cbat.service.oauth2.pkce import METHOD
from macaroon_cbat.service.oauth2.shapes import ClientName, TokenAnswer
from macaroon_cbat.stores import Client, Stores


class AuthorizationCodeForm(Struct, frozen=True, tag_field="grant_type", tag="authorization_code"):
    """A token request with a code (RFC 6749 4.1.3, RFC 7636 4.5); `resource` narrows the audiences."""

    code: str
    code_verifier: str
    redirect_uri: str | None = None
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class AuthorizationCode(AuthorizationCodeGrant):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface."""

    code: str | None = None
    """The code of this request, once it is found."""

    def validate_token_request(self) -> None:
        """Let Authlib check the request; a code that is found and does not fit is used up."""
        request: FormRequest = self.request
        request.read(AuthorizationCodeForm)
        try:
            super().validate_token_request()
        except (OAuth2Error, OAuthError):
            if self.code is not None:
                with suppress(CodeUsedTwice):
                    self._codes.use(self.code, request.now)
            raise

    def query_authorization_code(self, code: str, client: object) -> "FoundCode":
        """Return the code, or raise InvalidGrant."""
        request: FormRequest = self.request
        record: Client = client.record  # type: ignore[attr-defined]
        try:
            approval = self._codes.find(code, request.now)
        except CodeUsedTwice as error:
            self._refuse_second_use(error)
        self.code = code
        if approval.client_id != record.client_id:
            raise UnknownCode(f"the code was issued to {approval.client_id}, not to {record.client_id}")
        _refuse_changed(self.server.stores, approval, request)
        return FoundCode(approval)

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer (RFC 6749 4.1.4) for the code that Authlib has checked."""
        request: FormRequest = self.request
        client: Client = request.client.record
        approval: Approval = request.authorization_code.approval
        named = named_resources(request.resources)
        audience = narrowed_audience(approval.audience, named, client.metadata.audiences)
        issuer = self.server.issuer
        authorization = Authorization(
            client=client,
            subject=approval.subject,
            scope=granted_scope(client, approval.scope, audience, issuer.audience),
            audience=audience,
            certificate=granted_certificate(client, request.presented),
            carried=approval.carried,
            family=approval.family,
        )
        return 200, self._answer(authorization, is_renewed=approval.is_renewed), None

    def _answer(self, authorization: Authorization, *, is_renewed: bool) -> TokenAnswer:
        """Return the answer for a code that is used with it, or raise CodeUsedTwice.

        Without a family a token is minted first, and nothing is answered unless the code is used then.
        """
        request: FormRequest = self.request
        assert self.code is not None
        try:
            issuer, families = self.server.issuer, self.server.families
            if is_renewed:
                answer = family_response(issuer, families, request, authorization, use_of(self.code))
            else:  # no person has allowed more, whatever the client is registered for by now
                answer = token_response(issuer, request, authorization)
            if answer.refresh_token is UNSET:
                self._codes.use(self.code, request.now)
        except CodeUsedTwice as error:
            self._refuse_second_use(error)
        return answer

    @property
    def _codes(self) -> Codes:
        return Codes(self.server.stores.expiring)

    def _refuse_second_use(self, error: CodeUsedTwice) -> NoReturn:
        """Revoke every token of the code's family, then raise the error (RFC 6749 4.1.2).

        The first use may be on its way still: what it mints names the family, and is revoked before it
        exists.
        """
        self.server.families.forbid(error.family, self.request.now)
        known = {"client_id": error.client_id, "subject": error.subject, "family": error.family}
        write_or_log_done("code.replayed", status=400, **known)
        raise error


class FoundCode(AuthorizationCodeMixin):  # type: ignore[misc] # Authlib is untyped
    """A code that is being exchanged, behind Authlib's interface."""

    code_challenge_method = METHOD

    def __init__(self, approval: Approval) -> None:
        """Take the approval that the code stands for."""
        self.approval = approval
        self.code_challenge = approval.code_challenge

    def get_redirect_uri(self) -> str | None:
        """Return the redirect URI that the token request has to repeat."""
        return self.approval.redirect_uri

    def get_scope(self) -> str:
        """Return the approved scope."""
        return self.approval.scope


def _refuse_changed(stores: Stores, approval: Approval, request: FormRequest) -> None:
    """Raise InvalidGrant if the approval no longer holds, or its holder is another one."""
    reason = reason_of_end(stores.revocations, approval.client_id, approval.subject, approval.approved_at)
    if reason is not None:
        raise InvalidGrant(f"the approval has ended: {reason}")
    if approval.certificate is not None and request.presented.thumbprint != approval.certificate:
        raise InvalidGrant(
            "the code was requested over a connection with another client certificate: use that"
        )
    if approval.dpop_jkt is not None and request.proof_key != approval.dpop_jkt:
        raise InvalidGrant(
            "the code is bound to another key than that of the DPoP proof (RFC 9449 10): prove that"
        )


OFFERED_TO_BROWSERS = OfferedGrant(
    "authorization_code", AuthorizationCodeForm, AuthorizationCode, (CodeChallenge(required=True),)
)
"""Offered where people can log in; Authlib's extension compares the verifier."""
