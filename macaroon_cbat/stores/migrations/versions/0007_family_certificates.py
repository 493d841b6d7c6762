"""The certificate of each refresh family as a column, by which a public client finds its own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Copy the thumbprint from the content, and index the places of the families that have one."""
    op.add_column("families", sa.Column("certificate", sa.String(43), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE families SET certificate = json_extract(content, '$.certificate')")
    else:
        op.execute("UPDATE families SET certificate = content::json ->> 'certificate'")
    op.create_index("ix_families_certificate_place", "families", ["certificate", "created_at", "family"])
