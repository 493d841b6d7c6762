"""Refresh families, trusted issuers, and records that expire: codes, requests, used assertions and proofs."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables of the grants that last longer than one request."""
    op.add_column("clients", sa.Column("unused_until", sa.BigInteger, nullable=True))
    op.create_table(
        "families",
        sa.Column("family", sa.String(22), primary_key=True),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("wrapped_secret", sa.LargeBinary, nullable=False),
        sa.Column("token_id", sa.String(22), nullable=False),
        sa.Column("previous_id", sa.String(22), nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("rotated_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_families_client_id", "families", ["client_id"])
    op.create_index("ix_families_subject", "families", ["subject"])
    op.create_index("ix_families_expires_at", "families", ["expires_at"])
    op.create_table(
        "trusted_issuers",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "expiring_records",
        sa.Column("kind", sa.String(24), primary_key=True),
        sa.Column("name_hash", sa.LargeBinary(32), primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_expiring_records_expires_at", "expiring_records", ["expires_at"])
