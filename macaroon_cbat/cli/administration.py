"""The two ways of administration: on the database, or through the HTTP interface of a service."""

import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import click
import msgspec

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.cli.audit import write_change
from macaroon_cbat.cli.options import (
    FILE,
    client_certificate,
    database_options,
    passphrase_option,
    read_secret,
    say_changed,
    stores_in,
    wants_init,
)
from macaroon_cbat.client import TokenClient
from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.errors import NotFound, Refused
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.admin.operations import (
    CLIENTS,
    FAMILIES,
    KEYS,
    REVOCATIONS,
    TRUST,
)
from macaroon_cbat.service.admin.shapes import (
    ChangedClient,
    ClientRecord,
    NewClient,
    RevocationList,
    RevocationRequest,
    TrustedIssuerRecord,
)
from macaroon_cbat.service.cursors import BEGINNING
from macaroon_cbat.service.family_lists import FamilyList
from macaroon_cbat.service.settings import DEFAULT_ISSUER
from macaroon_cbat.stores import RootKeyRecord

_Shape = TypeVar("_Shape")
_OPTIONS = (
    click.option(
        "--issuer", metavar="URL", help="Administer the service at URL over HTTP, not the database."
    ),
    click.option(
        "--cacert", type=FILE, metavar="FILE", help="CA of its certificate. [default: the system's]"
    ),
    click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Your client certificate, PEM."),
    click.option("--key", "key_file", type=FILE, metavar="FILE", help="Its key. [default: in the same file]"),
    passphrase_option,
    click.option("--client-id", metavar="ID", help="Your client, which has the scope admin."),
    click.option("--client-secret-file", type=FILE, metavar="FILE", help="File with its secret; - is stdin."),
)


class HttpTrust:
    """The verbs about trusted issuers, through the HTTP interface."""

    def __init__(self, there: "HttpAdministration") -> None:
        """Call through this."""
        self._there = there

    def all(self) -> list[TrustedIssuerRecord]:
        """Return every trusted issuer, by name."""
        return self._there.call(list[TrustedIssuerRecord], "GET", TRUST)

    def one(self, name: str) -> TrustedIssuerRecord:
        """Return the trusted issuer of this name, or raise NotFound."""
        return self._there.call(TrustedIssuerRecord, "GET", _trust_path(name))

    def add(self, members: dict[str, object]) -> TrustedIssuerRecord:
        """Trust an issuer."""
        return self._there.call(TrustedIssuerRecord, "POST", TRUST, members)

    def remove(self, name: str) -> None:
        """Trust an issuer no more."""
        self._there.call(type(None), "DELETE", _trust_path(name))


class HttpAdministration:
    """The verbs through the HTTP interface. Raises Refused, Unavailable, and NotFound for unknown names."""

    def __init__(self, calls: ServiceCalls) -> None:
        """Call as this client."""
        self._calls = calls

    @property
    def trust(self) -> HttpTrust:
        """The verbs about trusted issuers."""
        return HttpTrust(self)

    def clients(self) -> list[ClientRecord]:
        """Return every client, by name."""
        return self.call(list[ClientRecord], "GET", CLIENTS)

    def add_client(self, members: dict[str, object]) -> NewClient:
        """Register a client."""
        return self.call(NewClient, "POST", CLIENTS, members)

    def client(self, client_id: str) -> ClientRecord:
        """Return a client, or raise NotFound."""
        return self.call(ClientRecord, "GET", _path_of(client_id))

    def change_client(self, client_id: str, members: dict[str, object]) -> ChangedClient:
        """Put these members of its metadata in place of what they were."""
        return self.call(ChangedClient, "PATCH", _path_of(client_id), members)

    def remove_client(self, client_id: str) -> None:
        """Remove a client and revoke its tokens at once."""
        self.call(type(None), "DELETE", _path_of(client_id))

    def keys(self) -> list[RootKeyRecord]:
        """Return what may be shown of every root key."""
        return self.call(list[RootKeyRecord], "GET", KEYS)

    def rotate(self) -> RootKeyRecord:
        """Let the next key mint, and return it."""
        return self.call(RootKeyRecord, "POST", KEYS + "/rotate")

    def retire(self, kid: str) -> None:
        """Retire a retiring key and all its tokens at once."""
        self.call(type(None), "POST", f"{KEYS}/{quote(kid, safe='')}/retire")

    def revocations(self, kind: str | None = None, after: str = BEGINNING) -> RevocationList:
        """Return a page of the revocations in force."""
        query = {"after": after} | ({} if kind is None else {"kind": kind})
        return self.call(RevocationList, "GET", f"{REVOCATIONS}?{urlencode(query)}")

    def families(
        self, client_id: str | None = None, subject: str | None = None, after: str = BEGINNING
    ) -> FamilyList:
        """Return a page of the live refresh families."""
        named = {"client_id": client_id, "subject": subject, "after": after}
        query = {name: value for name, value in named.items() if value is not None}
        return self.call(FamilyList, "GET", f"{FAMILIES}?{urlencode(query)}")

    def revoke(self, wanted: RevocationRequest) -> Revocation:
        """Revoke the named token, client or other thing."""
        return self.call(Revocation, "POST", REVOCATIONS, msgspec.to_builtins(wanted))

    def call(self, shape: type[_Shape], method: str, path: str, members: object = None) -> _Shape:
        """Return the answer of the interface in this shape."""
        try:
            answer = self._calls.call(method, path, members)
            return msgspec.convert(answer, shape)
        except Refused as refused:
            if refused.status == 404 and refused.code == "not_found":
                raise NotFound(refused.description) from refused
            raise
        except msgspec.ValidationError as error:
            raise Refused(200, None, f"{path} does not answer as it should: {error}") from error


Verbs = Administration | HttpAdministration
"""Administration on the database, or through the HTTP interface."""


def _path_of(client_id: str) -> str:
    return f"{CLIENTS}/{quote(client_id, safe='')}"


def _trust_path(name: str) -> str:
    return f"{TRUST}/{quote(name, safe='')}"


def administration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --data, and the options of the HTTP interface; the command takes `verbs` in their place."""

    @wraps(command)
    def chosen(
        *arguments: Any,
        data: Path | None,
        issuer: str | None,
        cacert: Path | None,
        certificate: Path | None,
        key_file: Path | None,
        passphrase_file: Path | None,
        client_id: str | None,
        client_secret_file: Path | None,
        **options: Any,
    ) -> None:
        there = (issuer, cacert, certificate, key_file, passphrase_file, client_id, client_secret_file)
        if any(one is not None for one in there):
            if data is not None:
                raise click.UsageError(
                    "--data is the database and --issuer the HTTP interface: use one of them"
                )
            if wants_init():
                raise click.UsageError("--init makes a database, and --issuer is the HTTP interface: use one")
            command(*arguments, verbs=_over_http(*there), **options)
        else:
            _on_database(data, partial(command, *arguments, **options))

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return database_options(chosen)


def _on_database(data: Path | None, command: Callable[..., Any]) -> None:
    """Run the command on the database. Name the database afterwards if the command changed anything."""
    settings, stores = stores_in(data)
    issuer = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
    changes: list[str] = []

    def audit_change(kind: EventKind, /, **members: Any) -> None:
        changes.append(kind)
        write_change(kind, **members)

    command(verbs=Administration(stores, issuer, time.time, audit_change))
    if changes:
        say_changed(stores)


def _over_http(
    issuer: str | None,
    cacert: Path | None,
    certificate: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    client_id: str | None,
    client_secret_file: Path | None,
) -> Verbs:
    issuer = None if issuer is None else plain_issuer(issuer, "--issuer")
    presented = client_certificate(certificate, key_file, passphrase_file)
    if issuer is None or presented is None or client_id is None:
        raise click.UsageError("the HTTP interface needs --issuer, --cert and --client-id together")
    secret = None if client_secret_file is None else read_secret(client_secret_file)
    tokens = TokenClient(
        issuer=issuer,
        client_id=client_id,
        client_secret=secret,
        certificate=presented,
        ca=cacert,
        scope="admin",
        resource=issuer,
    )
    return HttpAdministration(ServiceCalls(tokens))
