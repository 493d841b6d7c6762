"""The refresh grant (RFC 6749 6): a refresh token gives an access token, and its own successor."""

from functools import partial

from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from msgspec import Struct

from macaroon_cbat.errors import InvalidGrant, InvalidTarget
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.verification import refuse_revoked
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.audit import is_with, write_done, write_minted
from macaroon_cbat.service.metrics import count_replayed
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.entitlements import granted_certificate, named_resources, narrowed_audience
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.registered_client import authenticate_registered
from macaroon_cbat.service.oauth2.grants.token_response import answer_of, minted_for
from macaroon_cbat.service.oauth2.presented_rights import PresentedRights, presented_rights, refused_as
from macaroon_cbat.service.oauth2.refresh_families import PresentedRefreshToken, RefreshFamilies
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope, TokenAnswer
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.family import Family, Granted, Rotation

_AGAIN = "the refresh token cannot be used"


class RefreshTokenForm(Struct, frozen=True, tag_field="grant_type", tag="refresh_token"):
    """A refresh request (RFC 6749 6); `scope` and `resource` may narrow the access token, not the family."""

    refresh_token: str
    scope: RequestedScope | None = None
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class RefreshToken(RefreshTokenGrant):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface.

    Authlib's own steps compare the scope before the client's caveats are known, save a token and then revoke
    the old one: here both are one transaction.
    """

    def validate_token_request(self) -> None:
        """Authenticate the client, which must be registered for this grant."""
        authenticate_registered(self)

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer with the next refresh token, or raise InvalidGrant."""
        request: FormRequest = self.request
        client: Client = request.client.record
        form = request.read(RefreshTokenForm)
        families: RefreshFamilies = self.server.families
        with refused_as(InvalidGrant, _AGAIN):
            presented = self._presented(form.refresh_token, client, request)
            rights = presented_rights(presented.grant, presented.carried, request.access())
        _refuse_other_binding(presented.family.granted, request.access())
        ends_at = families.ends_at(client, presented.family)
        authorization = _authorized(form, request, presented.family, rights, ends_at)
        minted = minted_for(self.server.issuer, request, authorization)
        audit = partial(write_minted, minted.grant, authorization.certificate, request.proof_key)
        rotation, token = families.rotate(presented, client, request.now, audit)
        if not token:
            raise _ended(rotation, presented.grant)
        return 200, answer_of(minted, request, authorization, token), None

    def _presented(self, text: str, client: Client, request: FormRequest) -> PresentedRefreshToken:
        """Return the client's own refresh token, or raise InvalidToken or InvalidGrant."""
        families: RefreshFamilies = self.server.families
        macaroon = read_macaroon(text)
        unverified = read_identifier(macaroon.identifier)
        presented = families.presented(macaroon, unverified, request.now)
        grant = presented.grant
        is_with(client.client_id, grant.jti)
        if grant.client_id != client.client_id:
            raise InvalidGrant("the refresh token was issued to another client")
        refuse_revoked(grant, request.presented.thumbprint, self.server.stores.revocations)
        if grant.iat < client.tokens_since:
            raise InvalidGrant("the client was changed or registered again: log in again")
        return presented


def _authorized(
    form: RefreshTokenForm,
    request: FormRequest,
    family: Family,
    rights: PresentedRights,
    ends_at: EpochSeconds,
) -> Authorization:
    """Return what the new access token may: the family's grant, narrowed by caveats and by the request."""
    client: Client = request.client.record
    granted = family.granted
    named = named_resources(request.resources)
    audience = narrowed_audience(granted.audience, named, client.metadata.audiences)
    if not rights.allows_audience(audience):
        raise InvalidTarget("an aud caveat of the refresh token excludes this resource: name another one")
    certificate = granted_certificate(client, request.presented)
    return Authorization(
        client=client,
        subject=family.subject,
        scope=rights.narrowed_scope(form.scope, client),
        audience=audience,
        certificate=request.presented.thumbprint if rights.is_bound else certificate,
        carried=rights.carried,
        family=family.family,
        actor=granted.actor,
        not_after=min(ends_at, rights.caveats_end),
    )


def _refuse_other_binding(granted: Granted, access: Access) -> None:
    """Raise InvalidGrant unless a public client's binding, as the database has it, holds on this request.

    The cnf caveat of its refresh token says the same. The keys of families may leak with a database; this
    binding holds against a token that was forged with one.
    """
    if granted.certificate not in (None, access.certificate) or granted.proof_key not in (
        None,
        access.proof_key,
    ):
        raise InvalidGrant("the refresh token is bound to another certificate or DPoP key: use that")


def _ended(rotation: Rotation, grant: Grant) -> InvalidGrant:
    """Return the refusal of a token whose family has ended, in the audit log if it was replayed."""
    if rotation.outcome == "replayed":
        count_replayed()
        write_done("refresh.replayed", status=400, family=grant.fam, subject=grant.sub, token_id=grant.jti)
        return InvalidGrant("the refresh token was used before, so all tokens of this login are revoked")
    return InvalidGrant("the refresh token's family has ended: log in again")
