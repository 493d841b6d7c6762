"""Registered clients and resource servers: who they are, how they authenticate, what they may ask for."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import msgspec
from cryptography import x509
from msgspec import Struct
from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from macaroon_cbat.audit import OPERATOR, POLICY
from macaroon_cbat.claims import EpochSeconds, ScopeText
from macaroon_cbat.errors import ClientExists, InvalidClientMetadata
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import clients
from macaroon_cbat.thumbprint import parse_thumbprint

ClientAuthMethod = Literal[
    "client_secret_basic", "client_secret_post", "tls_client_auth", "self_signed_tls_client_auth", "none"
]
SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
MEMORY_SECONDS = 1.0
"""How long a process goes on with a client it has seen before it looks again."""

CLIENT_NAME = "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"
_MOST_SEEN = 10_000
_CLIENT_ID = re.compile(CLIENT_NAME.replace("$", r"\Z"))
_NO_SECRET = hashlib.sha256(b"no client has this secret").digest()


class ClientMetadata(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a client registered, in the terms of RFC 7591 and RFC 8705 2.1.2, 2.2.2 and 3.4.

    `audiences` are the resources it may get tokens for, and whose tokens it may introspect.
    `certificates` are the thumbprints of its own certificates, for self_signed_tls_client_auth.
    `understands_caveats`: as a resource server it judges every caveat itself.
    `checks_certificates`: as a resource server it compares `cnf` with the connection's certificate.
    """

    token_endpoint_auth_method: ClientAuthMethod = "client_secret_basic"
    scope: ScopeText
    audiences: tuple[str, ...] = ()
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    certificates: tuple[str, ...] = ()
    understands_caveats: bool = False
    checks_certificates: bool = False

    def __post_init__(self) -> None:
        """Refuse metadata that could only fail, or that would be weaker than it looks."""
        for audience in self.audiences:
            if not is_resource_uri(audience):
                raise ValueError(
                    f"audience {audience!r} must be an absolute URI without a fragment (RFC 8707 2)"
                )
            if self.audiences.count(audience) > 1:
                raise ValueError(f"audience {audience!r} is listed twice")
        for certificate in self.certificates:
            parse_thumbprint(certificate)
        self._refuse_names()
        if (self.token_endpoint_auth_method == "self_signed_tls_client_auth") != bool(self.certificates):
            raise ValueError("self_signed_tls_client_auth, and nothing else, needs the client's certificate")
        if self.token_endpoint_auth_method == "none" and not self.tls_client_certificate_bound_access_tokens:
            raise ValueError("a public client gets certificate-bound tokens only (RFC 8705 4)")

    def _refuse_names(self) -> None:
        """Refuse names that identify no certificate, or every one without a name."""
        names = [name for name in self.certificate_names.values() if name is not None]
        if self.token_endpoint_auth_method == "tls_client_auth" and len(names) != 1:
            raise ValueError("tls_client_auth needs exactly one subject DN, SAN DNS name or SAN URI")
        if self.token_endpoint_auth_method != "tls_client_auth" and names:
            raise ValueError("a subject DN or SAN goes with tls_client_auth only")
        if "" in names:
            raise ValueError("an empty subject DN or SAN names nobody")
        if self.tls_client_auth_subject_dn is not None:
            try:
                x509.Name.from_rfc4514_string(self.tls_client_auth_subject_dn)
            except ValueError as error:
                raise ValueError("the subject DN must be spelled as RFC 4514 says, as CN=a,O=b") from error

    @property
    def certificate_names(self) -> dict[str, str | None]:
        """The names that identify the client's certificate under tls_client_auth, by metadata member."""
        return {
            "tls_client_auth_subject_dn": self.tls_client_auth_subject_dn,
            "tls_client_auth_san_dns": self.tls_client_auth_san_dns,
            "tls_client_auth_san_uri": self.tls_client_auth_san_uri,
        }


class Client(Struct, frozen=True):
    """A registered client. Its secret is known only as a hash."""

    client_id: str
    secret_hash: bytes | None
    metadata: ClientMetadata
    created_at: EpochSeconds

    def __repr__(self) -> str:
        """Show who it is, not how it proves it."""
        return f"<Client {self.client_id}>"


def has_secret(client: Client | None, secret: str) -> bool:
    """Tell whether this is the client's secret, in the same time for an unknown client."""
    expected = client.secret_hash if client is not None and client.secret_hash is not None else _NO_SECRET
    return hmac.compare_digest(_hash(secret), expected) and expected is not _NO_SECRET


def is_resource_uri(uri: str) -> bool:
    """Tell whether a text is a resource indicator: an absolute URI without a fragment (RFC 8707 2)."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return (
        bool(parts.scheme and (parts.netloc or parts.path))
        and "#" not in uri
        and not re.search(r"[^!-~]", uri)
    )


Metadata = TypeVar("Metadata", bound=ClientMetadata)


def metadata_from(members: dict[str, object]) -> ClientMetadata:
    """Return checked metadata, or raise InvalidClientMetadata that says what is wrong."""
    return read_metadata(members, ClientMetadata)


def read_metadata(members: dict[str, object], shape: type[Metadata]) -> Metadata:
    """Return checked metadata of this shape, or raise InvalidClientMetadata that says what is wrong."""
    try:
        return msgspec.convert(members, shape)
    except (msgspec.ValidationError, ValueError) as error:
        reason = re.sub(r" matching regex '.*'", " of the right form", str(error))
        raise InvalidClientMetadata(reason) from error


class ClientStore:
    """Clients in the database: one registered anywhere is found at once, one removed is gone in a second."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keep clients in this database."""
        self._database = database
        self._monotonic = monotonic
        self._seen: dict[str, tuple[float, Client]] = {}

    def add(
        self, client_id: str, metadata: ClientMetadata, *, secret: str | None, now: EpochSeconds
    ) -> Client:
        """Register a client; InvalidClientMetadata when the name is taken or malformed.

        A secret must have been drawn at random with at least 128 bits: it is kept as a plain SHA-256.
        """
        if not _CLIENT_ID.match(client_id):
            raise InvalidClientMetadata("a client name has 1 to 64 letters, digits and . _ ~ - characters")
        if client_id in (OPERATOR, POLICY):
            raise InvalidClientMetadata(
                f"{client_id} is who else may act in the audit log: choose another name"
            )
        if (metadata.token_endpoint_auth_method in SECRET_METHODS) != (secret is not None):
            raise InvalidClientMetadata("a client has a secret exactly when it authenticates with one")
        client = Client(client_id, None if secret is None else _hash(secret), metadata, now)
        try:
            with self._database.writing() as connection:
                connection.execute(
                    insert(clients).values(
                        client_id=client_id,
                        secret_hash=client.secret_hash,
                        metadata=msgspec.json.encode(metadata).decode(),
                        created_at=now,
                    )
                )
        except IntegrityError as error:
            raise ClientExists(
                f"client {client_id} exists: choose another name, or remove it first"
            ) from error
        return client

    def find(self, client_id: str) -> Client | None:
        """Return the client, at most MEMORY_SECONDS old, or None when no such client is registered."""
        look_again_at, client = self._seen.get(client_id, (0.0, None))
        if client is not None and self._monotonic() < look_again_at:
            return client
        if not _CLIENT_ID.match(client_id):
            return None  # some databases choke on what is no name, such as NUL
        with self._database.reading() as connection:
            row = connection.execute(_FIND, {"client_id": client_id}).one_or_none()
        if row is None:
            self._seen.pop(client_id, None)
            return None
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        client = _client(*row)
        self._seen[client_id] = (self._monotonic() + MEMORY_SECONDS, client)
        return client

    def all(self) -> list[Client]:
        """Return every client, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(clients)).all()
        return sorted((_client(*row) for row in rows), key=lambda client: client.client_id)

    def remove(self, client_id: str) -> bool:
        """Remove a client; False when there was none. Its tokens live until they expire."""
        if not _CLIENT_ID.match(client_id):
            return False
        self._seen.pop(client_id, None)
        with self._database.writing() as connection:
            return connection.execute(delete(clients).where(clients.c.client_id == client_id)).rowcount > 0


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _client(client_id: str, secret_hash: bytes | None, metadata: str, created_at: int) -> Client:
    return Client(client_id, secret_hash, _decode(metadata), EpochSeconds(created_at))


_decode = msgspec.json.Decoder(ClientMetadata).decode
_FIND = select(clients).where(clients.c.client_id == bindparam("client_id"))
