"""One spelling of each audience, where two could name the same resource server.

Tokens that were minted for another spelling no longer verify; they live for 24 hours at most. Their
revocations go on concerning the resource server that would have accepted them.
"""

import json
import logging

import sqlalchemy as sa
from alembic import op

from macaroon_cbat.macaroon.audiences import canonical_audience

revision = "0004"
down_revision = "0003"

log = logging.getLogger("macaroon_cbat.stores")

_clients = sa.table("clients", sa.column("client_id", sa.String), sa.column("metadata", sa.Text))
_revocations = sa.table("revocations", sa.column("audience", sa.Text))


def upgrade() -> None:
    """Write what clients may ask for and serve, and what revocations concern, in canonical spelling."""
    connection = op.get_bind()
    for client_id, text in connection.execute(sa.select(_clients)).all():
        before = json.loads(text)
        after = before | {
            name: list(dict.fromkeys(map(canonical_audience, before[name])))
            for name in ("audiences", "serves")
            if name in before
        }
        if after != before:
            log.warning("client %s: its audiences are now in one spelling: %s", client_id, after)
            row = {"metadata": json.dumps(after, separators=(",", ":"))}
            connection.execute(sa.update(_clients).where(_clients.c.client_id == client_id).values(row))
    named = _revocations.c.audience
    for audience in connection.execute(sa.select(named).where(named.is_not(None)).distinct()).scalars().all():
        if (canonical := canonical_audience(audience)) != audience:
            connection.execute(
                sa.update(_revocations).where(named == audience).values({"audience": canonical})
            )
