"""The verbs of administration through the HTTP interface of a service."""

from collections.abc import Collection
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.errors import NotFound, Refused
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.service.admin.operations import CLIENTS, FAMILIES, KEYS, REVOCATIONS, TRUST
from macaroon_cbat.service.admin.shapes import (
    ChangedClient,
    ClientRecord,
    NewClient,
    RevocationList,
    RevocationRequest,
    RotatedSecret,
    SecretRotation,
    TrustedIssuerRecord,
)
from macaroon_cbat.service.admin.versions import ANY
from macaroon_cbat.service.cursors import BEGINNING
from macaroon_cbat.service.family_lists import FamilyList
from macaroon_cbat.stores import RootKeyRecord

_Shape = TypeVar("_Shape")


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


class HttpSecrets:
    """The verb about secrets of clients, through the HTTP interface."""

    def __init__(self, there: "HttpAdministration") -> None:
        """Call through this."""
        self._there = there

    def rotate(
        self, client_id: str, wanted: SecretRotation, versions: Collection[str] = ANY
    ) -> RotatedSecret:
        """Give a client another secret, if it is of one of these versions."""
        members = {
            name: value for name, value in msgspec.to_builtins(wanted).items() if value not in (None, 0)
        }
        return self._there.call(RotatedSecret, "POST", _path_of(client_id) + "/secret", members, versions)


class HttpAdministration:
    """The verbs through the HTTP interface. Raises Refused, Unavailable, and NotFound for unknown names."""

    def __init__(self, calls: ServiceCalls, client_id: str) -> None:
        """Call as this client."""
        self._calls, self.client_id = calls, client_id

    @property
    def trust(self) -> HttpTrust:
        """The verbs about trusted issuers."""
        return HttpTrust(self)

    @property
    def secrets(self) -> HttpSecrets:
        """The verb about secrets of clients."""
        return HttpSecrets(self)

    def clients(self) -> list[ClientRecord]:
        """Return every client, by name."""
        return self.call(list[ClientRecord], "GET", CLIENTS)

    def add_client(self, members: dict[str, object]) -> NewClient:
        """Register a client."""
        return self.call(NewClient, "POST", CLIENTS, members)

    def client(self, client_id: str) -> ClientRecord:
        """Return a client, or raise NotFound."""
        return self.call(ClientRecord, "GET", _path_of(client_id))

    def change_client(
        self, client_id: str, members: dict[str, object], versions: Collection[str] = ANY
    ) -> ChangedClient:
        """Merge these members into a client's metadata, if it is of one of these versions."""
        return self.call(ChangedClient, "PATCH", _path_of(client_id), members, versions)

    def remove_client(self, client_id: str, versions: Collection[str] = ANY) -> None:
        """Remove a client and revoke its tokens at once, if it is of one of these versions."""
        self.call(type(None), "DELETE", _path_of(client_id), None, versions)

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

    def call(
        self,
        shape: type[_Shape],
        method: str,
        path: str,
        members: object = None,
        versions: Collection[str] = ANY,
    ) -> _Shape:
        """Return the answer of the interface in this shape."""
        matching = {"If-Match": ", ".join(f'"{each}"' for each in versions)} if versions else {}
        try:
            answer = self._calls.call(method, path, members, matching)
            return msgspec.convert(answer, shape)
        except Refused as refused:
            if refused.status == 404 and refused.code == "not_found":
                raise NotFound(refused.description) from refused
            raise
        except msgspec.ValidationError as error:
            raise Refused(200, None, f"{path} does not answer as it should: {error}") from error


def _path_of(client_id: str) -> str:
    return f"{CLIENTS}/{quote(client_id, safe='')}"


def _trust_path(name: str) -> str:
    return f"{TRUST}/{quote(name, safe='')}"
