"""The door for JWTs of trusted issuers: read, verified, judged, and used once."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.federation.claims import CLIENT_KINDS, GRANT_KINDS, refuse_from_before, refuse_kind
from macaroon_cbat.service.federation.judging import Accepted, fitting, issuer_of, signed_by
from macaroon_cbat.service.federation.jwt import read_jwt
from macaroon_cbat.service.federation.published_keys import MOST_WAITING, PublishedKeys
from macaroon_cbat.service.federation.refusals import UNTRUSTED, UnacceptableJwt
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.stores import ExpiringStore, Stores, TrustedIssuers
from macaroon_cbat.stores.trust import ForeignTokenType, TrustUse
from macaroon_cbat.text.printable import quoted

MOST_WAITING_FOR_CLIENTS = 2
"""Threads that wait for the keys of clients, at most: a client may have registered itself to be slow."""

PLAIN: ForeignTokenType = "jwt"
"""The type of a token whose issuer need not say more of it."""

_KIND: Final = "used_assertion"


def _do_nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Federation:
    """The trusted issuers, the keys that they publish, and the assertions that were used before.

    `audiences` are the values of `aud` that mean this service in a client's own assertion. What clients
    publish is fetched apart, so that slow ones hold up no issuer.
    """

    trusted: TrustedIssuers
    used: ExpiringStore
    published: PublishedKeys
    published_by_clients: PublishedKeys
    audiences: frozenset[str]
    restored_at: int = 0
    """The second in which the database was restored, which forgot what was used before; or 0."""

    def accepted(
        self,
        text: str,
        use: TrustUse,
        now: EpochSeconds,
        *,
        token_type: ForeignTokenType = PLAIN,
        client_id: str | None = None,
    ) -> Accepted:
        """Return the JWT and the one trust that it fits; `client_id` is the client that the request names.

        Raises UnacceptableJwt, or Unavailable if the keys of its issuer cannot be had. It is not used up yet.
        """
        jwt = read_jwt(text)
        refuse_kind(jwt, CLIENT_KINDS if use == "client-authentication" else GRANT_KINDS)
        issuer = issuer_of(jwt)
        open_here = [
            record
            for record in self.trusted.of(issuer)
            if use in record.trusted.uses
            and token_type in record.trusted.token_types
            and (client_id is None or record.trusted.client in (None, client_id))
        ]
        if not open_here:
            as_client = "" if client_id is None else f" as client {quoted(client_id)}"
            reason = f"the issuer {quoted(issuer)} is not trusted for {use} by {token_type}{as_client}"
            raise UnacceptableJwt(reason, UNTRUSTED)
        return fitting(jwt, signed_by(jwt, open_here, self.published), now)

    def refuse_used(self, accepted: Accepted, now: EpochSeconds) -> None:
        """Raise UnacceptableJwt if the JWT was used before and is not reusable; this uses nothing up."""
        is_single = not accepted.trusted.reusable
        if is_single:
            refuse_from_before(accepted.jwt.claims, self.restored_at)
        if is_single and self.used.find(_KIND, accepted.token_name, now) is not None:
            raise _used_before()

    def use_once(
        self, accepted: Accepted, now: EpochSeconds, before_commit: Callable[[], None] = _do_nothing
    ) -> None:
        """Use the JWT up, unless it is reusable. Raises UnacceptableJwt if it was used, by any process.

        Every use counts, whichever door the token comes through. An error of `before_commit` leaves the JWT
        as it was.
        """
        if accepted.trusted.reusable:
            before_commit()
        else:
            refuse_from_before(accepted.jwt.claims, self.restored_at)
            self.use_up(accepted.token_name, accepted.expires_at, now, before_commit)

    def use_up(
        self,
        name: str,
        expires_at: EpochSeconds,
        now: EpochSeconds,
        before_commit: Callable[[], None] = _do_nothing,
    ) -> None:
        """Remember the name of a token until it expires. Raises UnacceptableJwt if it is remembered."""
        if not self.used.add(_KIND, name, expires_at=expires_at, now=now, before_commit=before_commit):
            raise _used_before()


def _used_before() -> UnacceptableJwt:
    return UnacceptableJwt("the JWT was used before: request a new one")


def federation_of(stores: Stores, audiences: Collection[str], threads: WaitingThreads) -> Federation:
    """Return the door of a service whose clients name it by these audiences; `threads` may wait for keys."""
    return Federation(
        stores.trusted_issuers,
        stores.expiring,
        PublishedKeys(threads=threads.part(MOST_WAITING)),
        PublishedKeys(threads=threads.part(MOST_WAITING_FOR_CLIENTS)),
        frozenset(audiences),
        stores.restored_at(),
    )
