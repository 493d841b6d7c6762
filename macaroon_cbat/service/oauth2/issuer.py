"""The issuer: mints macaroons for clients, and verifies them, by the root keys of the service."""

import os
from collections.abc import Iterable, Sequence
from functools import lru_cache

from msgspec import UNSET, Struct

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.caveats import Caveat, caveat_text, confirmation, key_confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.identifier import TOKEN_ID_BYTES, Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKey, RootKey, audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.signature import (
    AuthenticCaveats,
    CarriedCaveats,
    open_caveats,
    verify_identifier,
    verify_signature,
)
from macaroon_cbat.macaroon.wire import Macaroon, read_discharges, read_macaroon
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.settings import LONGEST_LIFETIME
from macaroon_cbat.stores import RootKeyStore
from macaroon_cbat.text.base64url import encode


class Minted(Struct, frozen=True):
    """A new macaroon and its grant."""

    text: str
    grant: Grant

    def __repr__(self) -> str:
        """Show the token's id, never its text."""
        return f"<Minted {self.grant.jti} for {self.grant.client_id}>"


class Issuer:
    """Mints macaroons under the current root key, and verifies those under every live root key."""

    def __init__(self, url: str, root_keys: RootKeyStore, lifetime: int, rotation: int = 0) -> None:
        """Mint as this issuer; lifetime and rotation are seconds, rotation 0 is by hand."""
        self._rotation = rotation
        self.url = url
        self.audience = canonical_audience(url)
        self.lifetime = lifetime
        self._root_keys = root_keys

    def adjust(self, lifetime: int, rotation: int) -> None:
        """Mint with another lifetime, and rotate after another time, from now on."""
        self.lifetime, self._rotation = lifetime, rotation

    def keep_keys(self, now: EpochSeconds) -> Iterable[tuple[EventKind, str]]:
        """Rotate and retire root keys that are due; return each change, as event and key id.

        Raises Unavailable if the database is out of reach.
        """
        return self._root_keys.keep(now, self._rotation, LONGEST_LIFETIME)

    def mint(self, authorization: Authorization, now: EpochSeconds) -> Minted:
        """Return the access token that was authorized.

        Just after the client's tokens were revoked, its `iat` is the first second whose tokens are valid. A
        token for several audiences, or for none, is keyed for the issuer.
        """
        root = self._root_keys.current()
        client = authorization.client
        ends = now + self.lifetime
        grant = Grant(
            act=UNSET if authorization.actor is None else authorization.actor,
            aud=UNSET if authorization.audience is None else authorization.audience,
            client_id=client.client_id,
            exp=ends if authorization.not_after is None else min(ends, authorization.not_after),
            fam=UNSET if authorization.family is None else authorization.family,
            iat=max(now, client.tokens_since),
            jti=encode(os.urandom(TOKEN_ID_BYTES)),
            kid=root.kid,
            scope=authorization.scope,
            sub=authorization.subject,
        )
        bindings = confirmations_for(authorization.certificate, authorization.proof_key)
        carried = authorization.carried
        caveats = [each for each in bindings if not carried or caveat_text(each) not in carried]
        key = _audience_key(root, grant.audience)
        return Minted(mint(key, self.url, grant, caveats, carried=carried), grant)

    def dpop_nonces(self) -> DpopNonces:
        """Return the nonces of DPoP proofs, the same in every process until the root key rotates."""
        return _nonces(self._root_keys.current())

    def authentic(self, text: str, discharges: Sequence[str] = ()) -> tuple[Grant, AuthenticCaveats]:
        """Return grant and caveats of a macaroon of this issuer with its discharges, or raise InvalidToken.

        Only the HMAC chains are checked: neither expiry nor revocation nor any caveat. Raises Unavailable if
        the database is out of reach.
        """
        macaroon, discharging = read_macaroon(text), read_discharges(discharges)
        grant = read_identifier(macaroon.identifier)
        return grant, verify_signature(macaroon, self.key_for(grant), discharging)

    def opened(self, macaroon: Macaroon, unverified: Grant) -> CarriedCaveats:
        """Return every caveat of a macaroon of this issuer, for a new one to carry, or raise InvalidToken.

        Only the macaroon's own HMAC chain is checked, as in `authentic`; discharges are not asked for.
        """
        return open_caveats(macaroon, self.key_for(unverified))

    def authentic_grant(self, text: str) -> Grant:
        """Return the grant of a macaroon of this issuer, discharged or not, or raise InvalidToken.

        Only the macaroon's own HMAC chain is checked, as in `authentic`.
        """
        macaroon = read_macaroon(text)
        grant = read_identifier(macaroon.identifier)
        verify_identifier(macaroon, self.key_for(grant))
        return grant

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key of the audience that the grant names, or raise UnknownKey."""
        return _audience_key(self._root_keys.find(unverified.kid), unverified.audience)


def confirmations_for(certificate: Thumbprint | None, key: KeyThumbprint | None) -> list[Caveat]:
    """Return the caveats that bind a macaroon to this certificate and to this key, unless they are None."""
    found: list[Caveat] = [] if certificate is None else [confirmation(certificate)]
    return found if key is None else [*found, key_confirmation(key)]


@lru_cache(maxsize=8)
def _nonces(root: RootKey) -> DpopNonces:
    return DpopNonces(audience_key(root, None, "nonce").secret)


@lru_cache(maxsize=1024)
def _audience_key(root: RootKey, audience: str | None) -> AudienceKey:
    return audience_key(root, audience)
