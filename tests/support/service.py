"""The service as tests ask it: one application, real stores, a clock, and requests over a connection."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from typing import Any
from urllib.parse import quote

import msgspec
from flask import Flask
from werkzeug.test import TestResponse

from macaroon_cbat.audit import bound_refusals
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKeys, audience_key, audience_keys
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service import Settings, create_app
from macaroon_cbat.service.pages.people import PeopleAtHand
from macaroon_cbat.service.resource_feeds import FEEDS
from macaroon_cbat.service.throttle.attempts import THROTTLE
from macaroon_cbat.stores import (
    ClientMetadata,
    ClientStore,
    ExpiringStore,
    FamilyStore,
    RevocationStore,
    RootKeyStore,
    Stores,
    TrustedIssuers,
    open_stores,
)
from macaroon_cbat.stores.registrations import RegistrationStore
from tests.support.certificates import Identity
from tests.support.databases import NOW, WRAPPING_KEY, Rows, put_rows, url_in

ISSUER = "https://as.example"
API, OTHER_API = "https://api.example", "https://other.example"
SECRETS = {
    "billing": "kBq1Zf8mQ-vT2Yw5h7Rs",
    "payroll": "Lw9x_Pq3mZ-fT6Vb1Nc8",
    "reporting": "Gd4k-Hs7wQ_zX2Ym9Jr5",
    "api": "Tn6v_Bk1pR-cF8Ls3Wq0",
    "comparing-api": "Vt5s_Ly0bK-mC4Pd8Fw2",
    "knowing-api": "Xj2h-Dz5mV_tK9Ng7Ep4",
    "other-api": "Qa8r_Ue3yC-bW6Mx1Of5",
}
GRANT_TYPE = {"grant_type": "client_credentials"}


def client_metadata(**changes: Any) -> ClientMetadata:
    """Return metadata of a client of the one API, changed as told."""
    return ClientMetadata(**({"scope": "read write", "audiences": (API,)} | changes))


def server_metadata(**changes: Any) -> ClientMetadata:
    """Return metadata of a resource server that serves the one API and calls nothing, changed as told."""
    return ClientMetadata(**({"serves": (API,)} | changes))


REGISTERED = {
    "billing": client_metadata(scope="read write audit"),
    "payroll": client_metadata(),
    "reporting": client_metadata(audiences=(API, OTHER_API)),
    "api": server_metadata(),
    "comparing-api": server_metadata(checks_certificates=True),
    "knowing-api": server_metadata(understands_caveats=True),
    "other-api": server_metadata(serves=(OTHER_API,)),
}


def basic(client_id: str, secret: str) -> str:
    """Return the Authorization header, each part form-urlencoded as RFC 6749 2.3.1 says."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return "Basic " + b64encode(pair.encode()).decode()


@dataclass
class Service:
    """One running application. `now` is the second that it believes in."""

    folder: Path
    settings: Settings
    now: float = float(NOW)
    people: PeopleAtHand | None = None
    app: Flask = field(init=False)
    stores: Stores = field(init=False)

    def __post_init__(self) -> None:
        """Start it; `stores` are beside its own on the same database, and remember for themselves."""
        self.app = create_app(self.settings, people=self.people, clock=lambda: self.now)
        database = self.app.extensions["macaroon_cbat"].database
        root_keys = RootKeyStore(database, WRAPPING_KEY)
        self.stores = Stores(
            database,
            ClientStore(database),
            root_keys,
            RevocationStore(database),
            ExpiringStore(database),
            FamilyStore(database, lambda: WRAPPING_KEY),
            TrustedIssuers(database),
            RegistrationStore(database, lambda: WRAPPING_KEY),
        )

    def close(self) -> None:
        """Let go of the database."""
        self.app.extensions[FEEDS].close()
        self.stores.database.close()

    def begin_again_on(self, database: Path) -> None:
        """Be as one that has just started on a copy of this SQLite database."""
        self.close()
        for file in self.folder.iterdir():
            if file.name != database.name:
                file.unlink()
        copy(database, self.folder)  # into the same file: the service refuses another one in its place
        self._begin_again()

    def begin_again_with(self, rows: Rows) -> None:
        """Be as one that has just started on a database with these rows."""
        self.app.extensions[FEEDS].close()
        put_rows(self.stores, rows)
        self._begin_again()

    def _begin_again(self) -> None:
        self.app.extensions["macaroon_cbat"].forget()
        self.app.extensions[THROTTLE].forget()
        self.stores.forget()
        self.now = float(NOW)
        bound_refusals(self.settings.audit_refusals)

    def open(self, path: str, certificate: Identity | bytes | None = None, **request: Any) -> TestResponse:
        """Send a request over a connection with this client certificate."""
        der = certificate.der if isinstance(certificate, Identity) else certificate
        request.setdefault("method", "POST")
        return self.app.test_client().open(path, environ_overrides={PEER_CERTIFICATE: der}, **request)

    def post(
        self,
        path: str,
        form: Mapping[str, Any],
        client: str | None = None,
        certificate: Identity | bytes | None = None,
    ) -> TestResponse:
        """Send a form, authenticated by the secret of a registered client when one is named."""
        headers = {} if client is None else {"Authorization": basic(client, SECRETS[client])}
        return self.open(path, certificate, data=dict(form), headers=headers)

    def ask_token(
        self, client: str | None = "billing", certificate: Identity | None = None, **form: str
    ) -> TestResponse:
        """Ask for a token by client credentials."""
        return self.post("/oauth2/token", GRANT_TYPE | form, client, certificate)

    def token(self, client: str | None = "billing", certificate: Identity | None = None, **form: str) -> str:
        """Return a new token."""
        answer = self.ask_token(client, certificate, **form)
        assert answer.status_code == 200, answer.text
        text: str = answer.json["access_token"]
        return text

    def introspect(self, token: str, client: str = "api", **form: str) -> Any:
        """Return what a resource server learns of a token."""
        answer = self.post("/oauth2/introspect", {"token": token, **form}, client)
        assert answer.status_code == 200, answer.text
        return answer.json

    def revoke(self, token: str, client: str = "billing", **form: str) -> TestResponse:
        """Take a token back."""
        return self.post("/oauth2/revoke", {"token": token, **form}, client)

    def keys(self, audience: str = API) -> AudienceKeys:
        """Return what key export gives the resource server of this audience."""
        return audience_keys(ISSUER, audience, self.stores.root_keys.all())

    def minted(self, *caveats: Caveat, use: str = "access", **changes: Any) -> str:
        """Return an authentic token of this service, with any grant."""
        root = self.stores.root_keys.current()
        grant = msgspec.structs.replace(grant_of(self.token()), **changes)
        return mint(audience_key(root, grant.audience, use), ISSUER, grant, caveats)  # type: ignore[arg-type]


def told_of(answer: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    """Return all that an answer tells, but for the id that each request has of its own."""
    fields = dict(answer.headers)
    del fields["X-Request-ID"]
    return answer.status_code, answer.data, fields


def make_database(url: str) -> None:
    """Make a database with the registered clients: SQLite's is made once, and copied for each test."""
    stores = open_stores(url, WRAPPING_KEY, NOW)
    for name, metadata in REGISTERED.items():
        stores.clients.add(name, metadata, secret=SECRETS[name], now=NOW)
    stores.record_issuer(ISSUER)
    stores.database.close()


def settings_in(folder: Path, **changes: Any) -> Settings:
    members = {"database_url": url_in(folder), "wrapping_key": WRAPPING_KEY, "issuer": ISSUER}
    return Settings(**(members | changes))


def grant_of(token: str) -> Grant:
    """Return what the identifier of a token says."""
    return read_identifier(read_macaroon(token).identifier)


def refused(answer: TestResponse, status: int, code: str) -> str:
    """Check that this is one JSON refusal as RFC 6749 5.2 says; return its description."""
    assert (answer.status_code, answer.json["error"]) == (status, code), answer.text
    assert answer.mimetype == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert set(answer.json) == {"error", "error_description"}
    description: str = answer.json["error_description"]
    assert all(" " <= character <= "~" and character not in '"\\' for character in description)
    assert "Traceback" not in answer.text
    assert "\n" not in description
    return description


def seconds(value: float) -> EpochSeconds:
    return EpochSeconds(int(value))
