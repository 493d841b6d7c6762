"""Versions of clients: a change names the version that its author has seen (RFC 9110 13.1.1)."""

import hashlib
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from msgspec.structs import asdict

from macaroon_cbat.errors import PreconditionFailed
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.admin.shapes import ClientRecord
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.client_secrets import secret_name
from macaroon_cbat.text.base64url import encode

_VERSION_BYTES = 15
_MEMBERS = ClientRecord.__struct_fields__

ANY: Collection[str] = ()
"""The versions of a change that is made however the client is."""


def shown(client: Client, now: EpochSeconds) -> ClientRecord:
    """Return what an administrator may see of a client: never a secret or its hash."""
    members: dict[str, Any] = asdict(client.metadata)
    until = client.old_secret_until
    return ClientRecord(
        client_id=client.client_id,
        client_id_issued_at=client.created_at,
        client_secret_id=None if client.secret_hash is None else secret_name(client.secret_hash),
        old_secret_until=until if until is not None and until > now else None,
        **members,
    )


def version_of(record: ClientRecord) -> str:
    """Return the version of a client: it changes with everything that is shown of it but the time."""
    members = {name: getattr(record, name) for name in _MEMBERS if name != "old_secret_until"}
    digest = hashlib.sha256(msgspec.json.encode(members, order="sorted")).digest()
    return encode(digest[:_VERSION_BYTES])


def is_one_of(versions: Collection[str], now: EpochSeconds) -> Callable[[Client], None]:
    """Return what raises PreconditionFailed for a client of none of these versions, if any is named."""

    def expects(client: Client) -> None:
        if versions and version_of(shown(client, now)) not in versions:
            raise PreconditionFailed(
                f"client {client.client_id} was changed meanwhile: look at it again, then repeat the change"
            )

    return expects
