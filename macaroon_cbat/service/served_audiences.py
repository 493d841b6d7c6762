"""The audiences that a client serves as a resource server, which gets their keys and revocations."""

import logging
from collections.abc import Iterable
from shlex import quote

from macaroon_cbat.errors import NotServed, SettingsError
from macaroon_cbat.macaroon.audiences import canonical_audience, is_among, is_same_audience
from macaroon_cbat.stores import Client

log = logging.getLogger("macaroon_cbat.service")

FEED_SCOPES = frozenset({"keys", "revocations"})
"""The scopes that only a resource server uses."""


def served_audiences(client: Client, issuer: str) -> tuple[str, ...]:
    """Return the audiences that the client serves, without the issuer's own.

    The keys of the issuer's audience would mint tokens of administrators.
    """
    return tuple(each for each in client.metadata.serves if not is_same_audience(each, issuer))


def require_served(client: Client, issuer: str, wanted: str | None = None) -> list[str]:
    """Return the audiences that the client serves, or the wanted one of them.

    Raises NotServed if it serves none, or not this one.
    """
    served = served_audiences(client, issuer)
    if not served:
        raise NotServed(f"client {client.client_id} serves no audience: {how_to_serve(client)}")
    if wanted is None:
        return list(served)
    if canonical_audience(wanted) not in served:
        raise NotServed(f"client {client.client_id} does not serve this audience: {how_to_serve(client)}")
    return [canonical_audience(wanted)]


def how_to_serve(client: Client) -> str:
    """Return the command with which the operator lets the client serve one audience more."""
    kept = "".join(f" --serves {quote(audience)}" for audience in client.metadata.serves)
    return f"to allow it, run macaroon-cbat client update {client.client_id}{kept} --serves URL"


def check_who_serves(clients: Iterable[Client], issuer: str) -> None:
    """Warn of clients that are registered as resource servers but serve no audience.

    Raises SettingsError if one serves what is the issuer now: it may hold keys of that audience.
    """
    for client in clients:
        metadata = client.metadata
        if is_among(issuer, metadata.serves):
            raise SettingsError(
                f"client {client.client_id} serves {issuer}, so it may hold keys that mint tokens of "
                "administrators: choose another issuer, or take this audience from the client with client "
                f"change {client.client_id}, and run key rotate twice and key retire for the old keys"
            )
        promises = metadata.understands_caveats or metadata.checks_certificates or metadata.checks_proofs
        if (promises or metadata.scopes & FEED_SCOPES) and not served_audiences(client, issuer):
            log.warning(
                "client %s serves no audience, so it gets no keys, no revocations and no answer about the "
                "tokens of others: %s",
                client.client_id,
                how_to_serve(client),
            )
