"""The rows of clients: how a client is read from the table and written to it."""

from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.stores.clients import SECRET_METHODS, Client, ClientMetadata
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.schema import clients

MOST_SEEN = 10_000
"""Clients that a process remembers at most."""


def found_client(connection: Connection, client_id: str) -> Client | None:
    """Return the client of this name in a transaction, or None."""
    row = connection.execute(_FIND, {"client_id": client_id}).one_or_none()
    return None if row is None else client_of(*row)


def client_row(client: Client) -> dict[str, object]:
    """Return the row of a client."""
    return msgspec.structs.asdict(client) | {"metadata": metadata_text(client.metadata)}


def metadata_text(metadata: ClientMetadata) -> str:
    """Return metadata as the table holds them."""
    return msgspec.json.encode(metadata).decode()


def client_of(client_id: str, hashed: bytes | None, metadata: str, *further: Any) -> Client:
    """Return the client in a row."""
    return Client(client_id, hashed, _decode(metadata), *further)


def refuse_credentials(metadata: ClientMetadata, *, has_secret: bool) -> None:
    """Raise InvalidClientMetadata unless a client has a secret exactly if it authenticates by one."""
    if (metadata.token_endpoint_auth_method in SECRET_METHODS) != has_secret:
        raise InvalidClientMetadata(
            "the secret does not match token_endpoint_auth_method: give one with client_secret_basic or "
            "client_secret_post, and with no other method"
        )


@lru_cache(maxsize=MOST_SEEN)
def _decode(metadata: str) -> ClientMetadata:
    """Return checked metadata. It is cached: the time of a refusal must not reveal registered names."""
    return _DECODER.decode(metadata)


_DECODER = msgspec.json.Decoder(ClientMetadata)
_FIND = select(clients).where(clients.c.client_id == bindparam("client_id"))
LOOK_UP = Prepared(_FIND)
"""The query of one client by its name."""
