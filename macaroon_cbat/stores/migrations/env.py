"""The environment of Alembic: it migrates on the connection of `Database.upgrade`."""

from alembic import context

from macaroon_cbat.stores.schema import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema,
    transaction_per_migration=False,
)
context.run_migrations()
