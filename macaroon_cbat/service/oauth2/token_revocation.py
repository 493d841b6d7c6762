"""Revocation of a token by its own client (RFC 7009 2.1), after the signature is verified."""

import logging

from macaroon_cbat.errors import InvalidGrant, InvalidRequest, InvalidToken, MalformedMacaroon
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.revocation import KEPT_LONGER_SECONDS
from macaroon_cbat.macaroon.wire import MAX_DISCHARGES, read_macaroon
from macaroon_cbat.service.audit import write_done, write_revoked
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies, is_refresh_token
from macaroon_cbat.stores import Client, RevocationStore

log = logging.getLogger("macaroon_cbat.service")

_SLIPS = str.maketrans("+ /", "--_", "\t\r\n=")
"""Base64 as other programs write and wrap it; a + that a form did not encode arrives as a space."""


def revoke(
    text: str,
    client: Client,
    issuer: Issuer,
    now: EpochSeconds,
    *,
    families: RefreshFamilies,
    revocations: RevocationStore,
) -> None:
    """Revoke the token and every child of it, or raise InvalidGrant for another client's token.

    A refresh token takes its family with it, and all access tokens of that (RFC 7009 2.1).

    A well-formed token that is invalid needs no revocation (RFC 7009 2.2). An attacker can write any
    identifier, so nothing happens before the signature is verified. Caveats and discharges are not judged: a
    child of any rights shows that its token has leaked. Raises InvalidRequest for text that is not a
    macaroon, and Unavailable if the revocation cannot be stored or audited.
    """
    found = (_authentic(each, client, issuer, families, now) for each in _spelled(text))
    grants = [grant for grant in found if grant is not None]
    if any(grant.client_id != client.client_id for grant in grants):
        raise InvalidGrant("this token was issued to another client")
    for grant in grants:
        if is_refresh_token(grant):
            if families.end(grant.kid, now) is not None:
                write_done("family.revoked", family=grant.kid, subject=grant.sub)
            continue
        expires_at = grant.exp + LONGEST_CLOCK_SKEW  # a resource server may allow that much
        if expires_at + KEPT_LONGER_SECONDS > now:
            revocations.revoke("token", grant.jti, now=now, expires_at=expires_at, audience=grant.audience)
            write_revoked(grant)


def _spelled(text: str) -> list[str]:
    """Return the token, or the token and its discharges with commas between, as `read_macaroon` takes them.

    Raises InvalidRequest for anything else, a token of another kind included. Text that is quoted, encoded
    once more or sent with its scheme may hold a live token, and a 200 (RFC 7009 2.2) would acknowledge its
    revocation. A well-formed macaroon holds no token but itself.
    """
    pieces = text.split(",")
    if len(pieces) > MAX_DISCHARGES + 1:
        raise InvalidRequest(
            f"token is a list of {len(pieces)}: send one token, and {MAX_DISCHARGES} discharges at most"
        )
    return [_well_formed(piece.strip().translate(_SLIPS)) for piece in pieces]


def _well_formed(text: str) -> str:
    try:
        read_macaroon(text)
    except MalformedMacaroon as error:
        raise InvalidRequest(
            f"token is not a macaroon, and nothing was revoked ({error}): send the bare token as it was "
            "issued, without quotes, scheme or further encoding"
        ) from error
    return text


def _authentic(
    text: str, client: Client, issuer: Issuer, families: RefreshFamilies, now: EpochSeconds
) -> Grant | None:
    """Return the grant of an authentic token, or None if it is not a live token of this issuer."""
    try:
        macaroon = read_macaroon(text)
        unverified = read_identifier(macaroon.identifier)
        if is_refresh_token(unverified):
            families.authentic(macaroon, unverified, now)
            return unverified
        _refuse_registration(unverified)
        return issuer.authentic_grant(text)
    except InvalidToken as error:
        log.info("nothing to revoke for %s: %s", client.client_id, error)
        return None


def _refuse_registration(unverified: Grant) -> None:
    """Raise InvalidRequest for a macaroon of registration, each of which has a key of its own.

    It is no token of this endpoint (RFC 7009 2.2.1), and a 200 would acknowledge its revocation.
    """
    if unverified.kid in (unverified.client_id, unverified.jti):
        raise InvalidRequest(
            "token is a macaroon of registration, and nothing was revoked: delete the registration, or let "
            "an administrator revoke the token by its id"
        )
