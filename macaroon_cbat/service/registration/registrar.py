"""The verbs of dynamic registration: a client registers, reads, replaces and removes itself."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from macaroon_cbat.errors import InvalidClientMetadata, InvalidToken
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.registration.bounds import Bounds
from macaroon_cbat.service.registration.requested import REGISTRABLE, metadata_within, replaced
from macaroon_cbat.service.registration.rules import NAME_BYTES, SECRET_BYTES, Audit, rights_of
from macaroon_cbat.service.registration.shapes import RegistrationAnswer
from macaroon_cbat.service.registration.tokens import Invitation, mint_management, new_token_id
from macaroon_cbat.service.settings import LASTING
from macaroon_cbat.stores import Client, ClientMetadata, Stores
from macaroon_cbat.stores.client_secrets import has_secret
from macaroon_cbat.stores.clients import SECRET_METHODS
from macaroon_cbat.stores.registrations import NewRegistration, Registered

REGISTER = "/oauth2/register"
UNUSED_SECONDS = 86_400
"""Seconds after which a client that registered openly is removed if it got no token."""

_SERVERS_PART = frozenset(
    {
        *("registration_access_token", "registration_client_uri"),
        *("client_secret_expires_at", "client_id_issued_at"),
    }
)


@dataclass(frozen=True, slots=True)
class Registrar:
    """Registers clients of an issuer; every change is audited before it is committed, or not done."""

    stores: Stores
    issuer: str
    clock: Callable[[], float]
    audit: Audit

    def register(
        self, members: dict[str, object], bounds: Bounds, invitation: Invitation | None
    ) -> RegistrationAnswer:
        """Register a client within these bounds and return what is registered; None: registration is open.

        Raises InvalidClientMetadata, InvalidRedirectUri, InvalidToken for an invitation that is used up, and
        TooManyRequests if too many clients registered openly and are not used.
        """
        now = self._now()
        metadata = metadata_within(members, bounds, self.issuer)
        needs_secret = metadata.token_endpoint_auth_method in SECRET_METHODS
        new = NewRegistration(
            client_id=secrets.token_hex(NAME_BYTES),
            metadata=metadata,
            secret=secrets.token_urlsafe(SECRET_BYTES) if needs_secret else None,
            bounds=msgspec.json.encode(bounds),
            invitation=None if invitation is None else invitation.token_id,
            counters=() if invitation is None else invitation.counters,
            expires_at=now if invitation is None else invitation.expires_at,
            unused_until=EpochSeconds(now + UNUSED_SECONDS) if invitation is None else None,
            token_id=new_token_id(),
        )

        def audit(client: Client) -> None:
            token = {} if new.invitation is None else {"token_id": new.invitation}
            self.audit("client.registered", client_id=client.client_id, **token, **rights_of(metadata))

        client, root = self.stores.registrations.register(new, now, audit)
        token = mint_management(root, self.issuer, client.client_id, new.token_id, now)
        return self._answer(client, token, new.secret)

    def show(self, client_id: str, token: str) -> RegistrationAnswer:
        """Return what is registered (RFC 7592 2.1)."""
        return self._answer(self._client(client_id), token)

    def replace(
        self, client_id: str, token: str, members: dict[str, object], registered: Registered
    ) -> RegistrationAnswer:
        """Replace all that the client registered, within the bounds of its first registration (RFC 7592 2.2).

        A client that gives up a right loses its tokens. Raises InvalidClientMetadata or InvalidRedirectUri.
        """
        self._refuse_foreign(client_id, members)
        bounds = msgspec.json.decode(registered.bounds, type=Bounds)
        wanted = metadata_within(members, bounds, self.issuer)

        def changed(before: ClientMetadata) -> ClientMetadata:
            try:
                after = replaced(before, wanted)
            except ValueError as error:  # it contradicts what an administrator registered
                raise InvalidClientMetadata(str(error)) from error
            self.audit("client.changed", client_id=client_id, **rights_of(after))
            return after

        found = self.stores.clients.change(client_id, changed, self._now, lasting=LASTING, is_its_own=True)
        if found is None:
            raise _gone(client_id)
        return self._answer(found[1], token)

    def remove(self, client_id: str) -> None:
        """Remove the client and revoke its tokens (RFC 7592 2.3)."""
        self.audit("client.removed", client_id=client_id)
        if not self.stores.clients.remove(client_id, self._now, lasting=LASTING):
            raise _gone(client_id)

    def _refuse_foreign(self, client_id: str, members: dict[str, object]) -> None:
        """Raise InvalidClientMetadata for what a client must not send with an update (RFC 7592 2.2)."""
        if members.get("client_id") != client_id:
            raise InvalidClientMetadata("client_id: send that of the client whose URL this is")
        if sent := sorted(_SERVERS_PART & members.keys()):
            raise InvalidClientMetadata(f"{sent[0]}: leave out what the service alone decides")
        secret = members.get("client_secret")
        if secret is not None and not (
            isinstance(secret, str) and has_secret(self._client(client_id), secret, self._now())
        ):
            raise InvalidClientMetadata("client_secret: send the present one, or none")

    def _client(self, client_id: str) -> Client:
        client = self.stores.clients.look_up(client_id)
        if client is None:
            raise _gone(client_id)
        return client

    def _answer(self, client: Client, token: str, secret: str | None = None) -> RegistrationAnswer:
        metadata = client.metadata
        shown: dict[str, Any] = {name: getattr(metadata, name) for name in REGISTRABLE}
        has_code = "authorization_code" in metadata.allowed_grants
        return RegistrationAnswer(
            **shown
            | {
                "client_id": client.client_id,
                "client_id_issued_at": client.created_at,
                "registration_client_uri": f"{self.issuer}{REGISTER}/{client.client_id}",
                "registration_access_token": token,
                "grant_types": list(metadata.allowed_grants),
                "response_types": ["code"] if has_code else [],
                "client_secret": secret,
                "client_secret_expires_at": None if client.secret_hash is None else 0,
            }
        )

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def _gone(client_id: str) -> InvalidToken:
    return InvalidToken(f"client {client_id[:64]!r} is no longer registered")
