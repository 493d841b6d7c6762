"""Indexes by which lists of refresh families go on from one place to the next."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Let a page begin where the last one ended, among all families and among those of one client."""
    op.create_index("ix_families_place", "families", ["created_at", "family"])
    op.create_index("ix_families_client_place", "families", ["client_id", "created_at", "family"])
    op.drop_index("ix_families_client_id", table_name="families")
