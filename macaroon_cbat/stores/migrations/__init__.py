"""The migrations of the schema, one file each, for Alembic."""
