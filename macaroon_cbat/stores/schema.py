"""The tables, as the newest migration leaves them."""

from sqlalchemy import BigInteger, Column, LargeBinary, MetaData, String, Table, Text

schema = MetaData()

clients = Table(
    "clients",
    schema,
    Column("client_id", String(64), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=True),
    Column("metadata", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

root_keys = Table(
    "root_keys",
    schema,
    Column("kid", String(64), primary_key=True),
    Column("wrapped_secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
)

revoked_tokens = Table(
    "revoked_tokens",
    schema,
    Column("jti", String(22), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)

service_facts = Table(
    "service_facts",
    schema,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
