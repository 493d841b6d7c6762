"""The tables of the newest schema."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

schema = MetaData()

clients = Table(
    "clients",
    schema,
    Column("client_id", String(64), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=True),
    Column("metadata", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("tokens_since", BigInteger, nullable=False),
    Column("unused_until", BigInteger, nullable=True),
    Column("old_secret_hash", LargeBinary(32), nullable=True),
    Column("old_secret_until", BigInteger, nullable=True),
)

root_keys = Table(
    "root_keys",
    schema,
    Column("kid", String(64), primary_key=True),
    Column("wrapped_secret", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
)

revocations = Table(
    "revocations",
    schema,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("value", Text, nullable=False),
    Column("audience", Text, nullable=True),
    Column("revoked_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    UniqueConstraint("kind", "value"),
)

feed_positions = Table(
    "feed_positions",
    schema,
    Column("feed", String(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
)

service_facts = Table(
    "service_facts",
    schema,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

families = Table(
    "families",
    schema,
    Column("family", String(22), primary_key=True),
    Column("client_id", String(64), nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("content", Text, nullable=False),
    Column("wrapped_secret", LargeBinary, nullable=False),
    Column("token_id", String(22), nullable=False),
    Column("previous_id", String(22), nullable=True),
    Column("created_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("certificate", String(43), nullable=True),
    Index("ix_families_certificate_place", "certificate", "created_at", "family"),
    Index("ix_families_place", "created_at", "family"),
    Index("ix_families_client_place", "client_id", "created_at", "family"),
)

trusted_issuers = Table(
    "trusted_issuers",
    schema,
    Column("name", String(64), primary_key=True),
    Column("content", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

expiring_records = Table(
    "expiring_records",
    schema,
    Column("kind", String(24), primary_key=True),
    Column("name_hash", LargeBinary(32), primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
)
