"""The stores of the service: clients, root keys and revocations in one database (SQLAlchemy 2, Alembic).

Every failure of the database is raised as `Unavailable`, which is neither yes nor no.
"""

from macaroon_cbat.errors.extras import extra

with extra("service"):
    from macaroon_cbat.stores.client_store import ClientStore as ClientStore
    from macaroon_cbat.stores.clients import Client as Client
    from macaroon_cbat.stores.clients import ClientMetadata as ClientMetadata
    from macaroon_cbat.stores.database import EMBEDDED as EMBEDDED
    from macaroon_cbat.stores.database import Database as Database
    from macaroon_cbat.stores.database import is_missing as is_missing
    from macaroon_cbat.stores.database import no_database as no_database
    from macaroon_cbat.stores.database import sqlite_url as sqlite_url
    from macaroon_cbat.stores.expiring import ExpiringStore as ExpiringStore
    from macaroon_cbat.stores.expiring import NewRecord as NewRecord
    from macaroon_cbat.stores.expiring import RecordChange as RecordChange
    from macaroon_cbat.stores.families import FamilyStore as FamilyStore
    from macaroon_cbat.stores.revocations import RevocationPage as RevocationPage
    from macaroon_cbat.stores.revocations import RevocationStore as RevocationStore
    from macaroon_cbat.stores.root_keys import RootKeyRecord as RootKeyRecord
    from macaroon_cbat.stores.root_keys import RootKeyStore as RootKeyStore
    from macaroon_cbat.stores.sqlite import sqlite_file as sqlite_file
    from macaroon_cbat.stores.stores import Stores as Stores
    from macaroon_cbat.stores.stores import open_stores as open_stores
    from macaroon_cbat.stores.trust import TrustedIssuer as TrustedIssuer
    from macaroon_cbat.stores.trust import TrustRecord as TrustRecord
    from macaroon_cbat.stores.trusted_issuers import TrustedIssuers as TrustedIssuers
    from macaroon_cbat.stores.urls import read_url as read_url
    from macaroon_cbat.stores.wrapping_command import WrappingCommand as WrappingCommand
    from macaroon_cbat.stores.wrapping_key import WrappingKey as WrappingKey
    from macaroon_cbat.stores.wrapping_key import read_or_make_wrapping_key as read_or_make_wrapping_key
    from macaroon_cbat.stores.wrapping_key import read_wrapping_key as read_wrapping_key
    from macaroon_cbat.stores.wrapping_key import unwrapped_key as unwrapped_key
    from macaroon_cbat.stores.wrapping_key import wrapping_key_from_text as wrapping_key_from_text
