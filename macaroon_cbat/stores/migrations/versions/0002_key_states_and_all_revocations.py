"""States of root keys; revocations of every kind in one ordered table."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Give keys a state, and carry the revoked tokens over in the order of their revocation."""
    op.add_column("root_keys", sa.Column("state", sa.String(16), nullable=False, server_default="retiring"))
    op.add_column("root_keys", sa.Column("since", sa.BigInteger, nullable=False, server_default="0"))
    # A key went on minting until the next one was made: its tokens live that much longer.
    op.execute(
        "UPDATE root_keys SET since = COALESCE((SELECT min(newer.created_at) FROM root_keys AS newer "
        "WHERE newer.created_at > root_keys.created_at), created_at)"
    )
    op.execute(
        "UPDATE root_keys SET state = 'current' WHERE created_at = (SELECT max(created_at) FROM root_keys)"
    )
    op.create_table(
        "revocations",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("audience", sa.Text, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("kind", "value"),
    )
    op.create_index("ix_revocations_expires_at", "revocations", ["expires_at"])
    op.create_table(
        "feed_positions",
        sa.Column("feed", sa.String(32), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.execute(
        "INSERT INTO revocations (sequence, kind, value, revoked_at, expires_at) "
        "SELECT row_number() OVER (ORDER BY revoked_at, jti), 'token', jti, revoked_at, expires_at "
        "FROM revoked_tokens"
    )
    op.execute(
        "INSERT INTO feed_positions (feed, position) "
        "SELECT 'revocations', max(sequence) FROM revocations HAVING max(sequence) IS NOT NULL"
    )
    op.drop_table("revoked_tokens")
