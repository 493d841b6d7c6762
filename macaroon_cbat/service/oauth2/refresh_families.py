"""Refresh tokens (RFC 6749 6) as macaroons: families that begin with a grant, and rotate with each use.

A refresh token is keyed for the issuer, use `refresh`, under a key of its family alone: it never verifies as
an access token, nor an access token as one. The caveats that its holder appended go on into its successor
and into every access token.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidGrant, InvalidToken
from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import TOKEN_ID_BYTES, Grant
from macaroon_cbat.macaroon.keys import KEY_BYTES, AudienceKey, RootKey, audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.signature import CarriedCaveats, OpenedCaveat, open_caveats, verify_identifier
from macaroon_cbat.macaroon.wire import Macaroon
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.client_authentication import is_public
from macaroon_cbat.service.oauth2.issuer import confirmations_for
from macaroon_cbat.service.refresh_settings import RefreshSettings
from macaroon_cbat.service.settings import LASTING
from macaroon_cbat.stores import Client, FamilyStore, RecordChange
from macaroon_cbat.stores.family import Family, Granted, Rotation
from macaroon_cbat.text.base64url import encode


class PresentedRefreshToken(Struct, frozen=True):
    """An authentic refresh token of a live family, current or not; none of its caveats is judged yet."""

    grant: Grant
    carried: CarriedCaveats
    family: Family
    key: AudienceKey

    def __repr__(self) -> str:
        """Show the token's id, never a key."""
        return f"<PresentedRefreshToken {self.grant.jti} of {self.family.family}>"


def new_family() -> str:
    """Return a new name for a family: 22 characters, 128 random bits."""
    return encode(os.urandom(TOKEN_ID_BYTES))


def is_refresh_token(unverified: Grant) -> bool:
    """Return True if an identifier is that of a refresh token: its family's key has the family's name."""
    return unverified.is_refresh_token


@dataclass(frozen=True, slots=True)
class RefreshFamilies:
    """The refresh families of the issuer with this URL."""

    url: str
    store: FamilyStore
    settings: RefreshSettings

    def begin(
        self,
        authorization: Authorization,
        now: EpochSeconds,
        uses: RecordChange | None = None,
        before_commit: Callable[[], None] = lambda: None,
    ) -> str:
        """Begin the family of an authorization, or a new one; return the first refresh token.

        A public client's refresh token is bound to the certificate of the authorization (RFC 8705 4) and to
        the key of its DPoP proof (RFC 9449 5). A confidential client proves itself anew at each use, perhaps
        with a renewed certificate or key. `uses` is the change of the record that the family comes from, in
        one transaction with its beginning; an error of `before_commit` begins nothing. Raises InvalidGrant
        for a public client without a binding.
        """
        client = authorization.client
        bound_to, proof_key = _kept_binding(authorization)
        bindings = confirmations_for(bound_to, proof_key)
        begun = Family(
            family=authorization.family or new_family(),
            client_id=client.client_id,
            subject=authorization.subject,
            granted=Granted(
                scope=authorization.scope,
                audience=authorization.audience,
                certificate=bound_to,
                proof_key=proof_key,
                actor=authorization.actor,
            ),
            token_id=new_token_id(),
            previous_id=None,
            created_at=now,
            rotated_at=now,
            expires_at=self._expiry(client, now, now),
        )
        key = RootKey(begun.family, os.urandom(KEY_BYTES))
        refresh_key = audience_key(key, None, "refresh")
        text = self._token(client, begun, refresh_key, authorization.carried, bindings)
        first = _grant(client, begun)
        if reason := self.store.begin(begun, key, first, now, uses, before_commit=before_commit):
            raise InvalidGrant(f"{reason}: log in again")
        return text

    def presented(self, macaroon: Macaroon, unverified: Grant, now: EpochSeconds) -> PresentedRefreshToken:
        """Return the refresh token that a macaroon is, or raise InvalidToken.

        Its signature holds then. Neither expiry nor revocation nor any caveat is judged.
        """
        family, key = self._found(unverified, now)
        carried = open_caveats(macaroon, key)
        return PresentedRefreshToken(unverified, carried, family, key)

    def authentic(self, macaroon: Macaroon, unverified: Grant, now: EpochSeconds) -> Family:
        """Return the live family that an authentic refresh token is of, or raise InvalidToken."""
        family, key = self._found(unverified, now)
        verify_identifier(macaroon, key)
        return family

    def rotate(
        self,
        presented: PresentedRefreshToken,
        client: Client,
        now: EpochSeconds,
        before_commit: Callable[[], None],
    ) -> tuple[Rotation, str]:
        """Rotate the family; return the outcome, and the refresh token that is current after it.

        The text is empty if the family has ended. Nothing can fail after the transaction.
        """
        token_id, token = new_token_id(), partial(self._token, client, key=presented.key)
        family = presented.family
        coming = replace(
            family, token_id=token_id, rotated_at=now, expires_at=self._expiry(client, family.created_at, now)
        )
        if coming.expires_at <= now:
            raise InvalidGrant("the lifetime of this login is over: log in again")
        successor = token(coming, carried=presented.carried)  # beyond the limits it is refused here
        rotation = self.store.rotate(
            family.family,
            presented.grant.jti,
            (token_id, coming.expires_at),
            now,
            grace=self.settings.refresh_grace,
            lasting=LASTING,
            before_commit=before_commit,
        )
        if rotation.family is None or rotation.outcome == "replayed":
            return rotation, ""
        if rotation.outcome == "rotated":
            return rotation, successor
        return rotation, token(rotation.family, carried=presented.carried)

    def ends_at(self, client: Client, family: Family) -> EpochSeconds:
        """Return the second in which a family ends at the latest, however often it is used."""
        longest = client.metadata.refresh_max_seconds or self.settings.refresh_max
        return EpochSeconds(family.created_at + longest)

    def end(self, family: str, now: EpochSeconds) -> Family | None:
        """End a live family and revoke its access tokens; return it, or None if there is none."""
        return self.store.end(family, now, lasting=LASTING)

    def forbid(self, family: str, now: EpochSeconds) -> None:
        """Revoke every token of a family that may live, or begin still, and end it if it lives."""
        self.store.forbid(family, now, lasting=LASTING)

    def _found(self, unverified: Grant, now: EpochSeconds) -> tuple[Family, AudienceKey]:
        """Return the live family that an identifier names, and its key, or raise InvalidToken."""
        if not is_refresh_token(unverified):
            raise InvalidToken("this is an access token: send the refresh token that came with it")
        found = self.store.find(unverified.kid, now)
        if found is None:
            raise InvalidToken(f"family {unverified.kid!r} is unknown or has ended: log in again")
        family, key = found
        return family, audience_key(key, None, "refresh")

    def _expiry(self, client: Client, created_at: EpochSeconds, now: EpochSeconds) -> EpochSeconds:
        """Return when a refresh token of now expires: idle or absolute lifetime, the earlier one."""
        idle = client.metadata.refresh_idle_seconds or self.settings.refresh_idle
        longest = client.metadata.refresh_max_seconds or self.settings.refresh_max
        return EpochSeconds(min(now + idle, created_at + longest))

    def _token(
        self,
        client: Client,
        family: Family,
        key: AudienceKey,
        carried: Iterable[bytes | OpenedCaveat] = (),
        caveats: Iterable[Caveat] = (),
    ) -> str:
        """Return the current refresh token of a family, which carries these caveats."""
        return mint(key, self.url, _grant(client, family), caveats, carried=carried)


def _kept_binding(authorization: Authorization) -> tuple[Thumbprint | None, KeyThumbprint | None]:
    """Return the certificate and the DPoP key to which the refresh tokens of a family stay bound.

    Raises InvalidGrant for a public client without either.
    """
    if not is_public(authorization.client):
        return None, None
    bound_to = authorization.certificate, authorization.proof_key
    if bound_to == (None, None):
        raise InvalidGrant(
            "a public client gets a refresh token only when it is bound: "
            "present a certificate or a DPoP proof"
        )
    return bound_to


def _grant(client: Client, family: Family) -> Grant:
    """Return the grant of a family's current refresh token."""
    return Grant(
        client_id=family.client_id,
        exp=family.expires_at,
        fam=family.family,
        iat=max(family.rotated_at, client.tokens_since),
        jti=family.token_id,
        kid=family.family,
        scope=family.granted.scope,
        sub=family.subject,
    )


new_token_id = new_family
"""Returns a new `jti`, which has the shape of a family's name."""
