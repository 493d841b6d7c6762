"""The macaroons of registration: the invitation of a client to be, and the token that manages a client.

Their keys are of the use `registration`, so none of them can verify as an access token. Caveats that a holder
appends are judged as everywhere, and an unknown one refuses.
"""

import os
from collections.abc import Sequence

from flask import Request
from msgspec import Struct

from macaroon_cbat.audit.event import OPERATOR
from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.macaroon.identifier import TOKEN_ID_BYTES, Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKey, RootKey, audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.signature import AuthenticCaveats, verify_signature
from macaroon_cbat.macaroon.verification import judge, refuse_revoked
from macaroon_cbat.macaroon.wire import read_discharges, read_macaroon
from macaroon_cbat.service.audit import is_with
from macaroon_cbat.service.http.presented_macaroons import macaroons_of
from macaroon_cbat.service.own_guard import OwnGuard
from macaroon_cbat.service.registration.bounds import (
    Bounds,
    RegistrationCaveat,
    bounds_of,
    caveat_text,
    counters_of,
    read_registration,
)
from macaroon_cbat.stores.registrations import Counter, Registered
from macaroon_cbat.text.base64url import encode

_MANAGES = "registration"
"""The scope in the identifier of a registration access token, which names no right of an access token."""


class Invitation(Struct, frozen=True):
    """An initial access token that was verified: the bounds that it sets, and what counts its uses."""

    token_id: str
    client_id: str
    bounds: Bounds
    counters: tuple[Counter, ...]
    expires_at: EpochSeconds


def new_token_id() -> str:
    """Return a random id: 22 characters of base64url."""
    return encode(os.urandom(TOKEN_ID_BYTES))


def mint_invitation(
    root: RootKey,
    issuer: str,
    *,
    client_id: str,
    scope: str,
    bounds: RegistrationCaveat,
    expires_at: EpochSeconds,
    now: EpochSeconds,
) -> str:
    """Return an initial access token of these scopes and bounds; the key's name is its id.

    `client_id` is the administrator that invites, or the operator.
    """
    grant = _grant(root, client_id, scope, expires_at, now, token_id=root.kid)
    return mint(_key(root), issuer, grant, carried=[caveat_text(bounds)])


def mint_management(root: RootKey, issuer: str, client_id: str, token_id: str, now: EpochSeconds) -> str:
    """Return the registration access token of a client (RFC 7592 3), which lives as long as the client."""
    return mint(_key(root), issuer, _grant(root, client_id, _MANAGES, NEVER, now, token_id=token_id))


class RegistrationTokens:
    """Verifies the macaroons of registration that requests carry."""

    def __init__(self, guard: OwnGuard) -> None:
        """Judge requests as this guard sees them."""
        self._guard, self._stores = guard, guard.stores

    def invitation(self, request: Request) -> Invitation:
        """Return the invitation that a request carries.

        Raises MissingToken, InvalidToken, or Unavailable if the database is out of reach.
        """
        text, grant, discharges = _presented(request)
        access = self._guard.access(request)
        root = self._stores.registrations.invitation(grant.kid, access.now)
        texts = _authentic(text, root, grant, discharges)
        is_with(grant.client_id, grant.jti)
        refuse_revoked(grant, access.certificate, self._stores.revocations)
        self._refuse_ended(grant)
        try:
            found = [read_registration(one) for one in texts]
        except ValueError as error:
            raise InvalidToken(str(error)) from error
        others = tuple(one for one, caveat in zip(texts, found, strict=True) if caveat is None)
        principal = judge(grant, AuthenticCaveats(others), access, require_certificate=False)
        bounds = bounds_of(principal.scope, [caveat for caveat in found if caveat is not None])
        counters = counters_of(grant.jti, texts)
        return Invitation(grant.jti, grant.client_id, bounds, counters, grant.expires_at)

    def _refuse_ended(self, grant: Grant) -> None:
        """Raise InvalidToken if the administrator that made an invitation is gone, or its tokens are revoked.

        The revocation itself is forgotten before the invitation expires.
        """
        if grant.client_id == OPERATOR:
            return
        inviter = self._stores.clients.find(grant.client_id)
        if inviter is None or grant.iat < inviter.tokens_since:
            raise InvalidToken(f"the invitation ended with client {grant.client_id!r}, which made it")

    def managed(self, request: Request, client_id: str) -> tuple[str, Registered]:
        """Return the registration access token that a request for this client carries, and its record.

        The token of another client is invalid, and so is that of a client that is gone (RFC 7592 2.1).
        Raises as `invitation` does.
        """
        text, grant, discharges = _presented(request)
        access = self._guard.access(request)
        record = self._stores.registrations.registered(client_id, access.now)
        if record is None or grant.client_id != client_id:
            raise InvalidToken(f"not a registration access token of client {client_id[:64]!r}")
        texts = _authentic(text, record.key, grant, discharges)
        is_with(grant.client_id, grant.jti)
        thumbprint = access.certificate
        if thumbprint is not None and self._stores.revocations.has_certificate(thumbprint):
            raise InvalidToken(f"the certificate {thumbprint} is revoked")
        judge(grant, texts, access, require_certificate=False)
        return text, record


def _presented(request: Request) -> tuple[str, Grant, tuple[str, ...]]:
    text, discharges = macaroons_of(request)
    return text, read_identifier(read_macaroon(text).identifier), discharges


def _authentic(text: str, root: RootKey | None, grant: Grant, discharges: Sequence[str]) -> AuthenticCaveats:
    """Return the caveats of a macaroon that this key minted, or raise InvalidToken."""
    if root is None:
        raise InvalidToken(f"the invitation {grant.kid[:64]!r} has ended, or never was one")
    return verify_signature(read_macaroon(text), _key(root), read_discharges(discharges))


def _grant(
    root: RootKey, client_id: str, scope: str, expires_at: EpochSeconds, now: EpochSeconds, *, token_id: str
) -> Grant:
    return Grant(
        client_id=client_id,
        exp=expires_at,
        iat=now,
        jti=token_id,
        kid=root.kid,
        scope=scope,
        sub=client_id,
    )


def _key(root: RootKey) -> AudienceKey:
    """Return the key, which is that of the issuer wherever its URL is."""
    return audience_key(root, None, "registration")
