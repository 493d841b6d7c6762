"""The device code grant (RFC 8628 3.4): a device gets a macaroon in the name of the person who approved.

A code is used together with the beginning of its family, or once its token is minted. So a device whose poll
failed, or named what it cannot have, polls again, and the person need not.
"""

from authlib.oauth2.rfc8628 import DeviceCodeGrant
from msgspec import UNSET, Struct

from macaroon_cbat.errors import InvalidGrant
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.device_codes import DeviceCodes, DeviceRequest, Poller, use_of
from macaroon_cbat.service.oauth2.entitlements import (
    granted_audience,
    granted_certificate,
    granted_scope,
    named_resources,
    narrowed_audience,
)
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.grants.offered import OfferedGrant
from macaroon_cbat.service.oauth2.grants.registered_client import authenticate_registered
from macaroon_cbat.service.oauth2.grants.token_response import family_response
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.owner_rights import reason_of_end
from macaroon_cbat.service.oauth2.shapes import ClientName, TokenAnswer
from macaroon_cbat.stores import Client, RevocationStore
from macaroon_cbat.stores.grant_types import DEVICE_CODE


class DeviceCodeForm(Struct, frozen=True, tag_field="grant_type", tag=DEVICE_CODE):
    """A poll of a device (RFC 8628 3.4); scope and resource are those of its first request."""

    device_code: str
    resource: str | None = None
    authorization_details: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class DeviceCodePoll(DeviceCodeGrant):  # type: ignore[misc] # Authlib is untyped
    """The grant behind Authlib's interface.

    Authlib would look the code up, judge it and change it in three steps. Two polls at once could then both
    get a token, so one change of the database does all of it, and Authlib's `query_device_credential`,
    `query_user_grant` and `should_slow_down` are not used.
    """

    def validate_token_request(self) -> None:
        """Authenticate the client, and refuse one that is not registered for this grant."""
        authenticate_registered(self)

    def create_token_response(self) -> tuple[int, TokenAnswer, None]:
        """Return the token answer, or raise what the client is to know: pending, slower, denied, expired."""
        request: FormRequest = self.request
        client: Client = request.client.record
        issuer: Issuer = self.server.issuer
        form = request.read(DeviceCodeForm)
        certificate = granted_certificate(client, request.presented)
        poller = Poller(client.client_id, request.presented.thumbprint, request.proof_key)
        codes = DeviceCodes(self.server.stores.expiring)
        asked = codes.redeem(form.device_code, poller, request.now)
        # The client may have been changed meanwhile: it gets no more than it is registered for now.
        named = named_resources(request.resources)
        approved = granted_audience(client, asked.audience, issuer.audience)
        audience = narrowed_audience(approved, named, client.metadata.audiences)
        subject = _subject_of(asked, self.server.stores.revocations)
        authorization = Authorization(
            client=client,
            subject=subject,
            scope=granted_scope(client, asked.scope, audience, issuer.audience),
            audience=audience,
            certificate=certificate,
            carried=asked.carried,
        )
        families, uses = self.server.families, use_of(form.device_code)
        answer = family_response(issuer, families, request, authorization, uses)
        if answer.refresh_token is UNSET:
            codes.use(form.device_code, request.now)
        return 200, answer, None


def _subject_of(asked: DeviceRequest, revocations: RevocationStore) -> str:
    """Return the person who approved, or raise InvalidGrant if the approval holds no longer."""
    assert asked.subject is not None
    assert asked.decided_at is not None
    reason = reason_of_end(revocations, asked.client_id, asked.subject, asked.decided_at)
    if reason is not None:
        raise InvalidGrant(f"the approval holds no longer ({reason}): begin again")
    return asked.subject


OFFERED_TO_DEVICES = OfferedGrant(DEVICE_CODE, DeviceCodeForm, DeviceCodePoll)
"""Offered where people can sign in."""
