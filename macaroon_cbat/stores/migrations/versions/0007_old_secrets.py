"""The secret of a client that a rotation replaced, and the second in which it ends."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
works_with = "0006"


def upgrade() -> None:
    """Make room beside the secret of each client for the one before."""
    op.add_column("clients", sa.Column("old_secret_hash", sa.LargeBinary(32), nullable=True))
    op.add_column("clients", sa.Column("old_secret_until", sa.BigInteger, nullable=True))
