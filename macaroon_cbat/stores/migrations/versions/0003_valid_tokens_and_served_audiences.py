"""The second from which on a client's tokens are valid; audiences that clients serve.

What a client may ask for and what it serves were one member of its metadata. What was registered stays
what it may ask for. It serves nothing until the operator says what: had the old member been taken for both,
every client with the scope `keys` would go on to get the keys of each audience that it calls.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Let the tokens of every client be valid since its registration; no client serves an audience yet."""
    op.add_column("clients", sa.Column("tokens_since", sa.BigInteger, nullable=False, server_default="0"))
    op.execute("UPDATE clients SET tokens_since = created_at")
