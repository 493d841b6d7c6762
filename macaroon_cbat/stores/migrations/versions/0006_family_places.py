"""Indexes by which lists of refresh families go on, also among those of one certificate."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Copy the thumbprint of a public client's certificate from the content, and make the indexes."""
    op.add_column("families", sa.Column("certificate", sa.String(43), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE families SET certificate = json_extract(content, '$.certificate')")
    else:
        op.execute("UPDATE families SET certificate = content::json ->> 'certificate'")
    op.create_index("ix_families_place", "families", ["created_at", "family"])
    op.create_index("ix_families_client_place", "families", ["client_id", "created_at", "family"])
    op.create_index("ix_families_certificate_place", "families", ["certificate", "created_at", "family"])
    op.drop_index("ix_families_client_id", table_name="families")
