"""Bad input, line by line: a precise status and code, nothing changed, and one line of the audit log."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.macaroon.caveats import Expiry, Method, PathPrefix, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.administrator import CLIENTS, KEYS, NEW, REVOCATIONS, administrator, state
from tests.support.audit_events import one
from tests.support.certificates import Identity
from tests.support.databases import NOW, url_in
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, OTHER_API, Service, make_database, refused, settings_in

AUDIENCE_KEYS, FEED = "/resource/keys", "/resource/revocations"
THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
LARGE = b'{"kind": "client", "value": "' + b"x" * 70_000 + b'"}'
JSON = "application/json"


class Asking:
    """A caller of the service: as an administrator, and as a resource server of the one API."""

    def __init__(self, service: Service, certificate: Identity, foreign_cursor: str) -> None:
        """Register both."""
        self.service, self.certificate, self.foreign_cursor = service, certificate, foreign_cursor
        self.ops = administrator(service, certificate)
        register(service, "invoices", serves=(API,))
        self.tokens = {name: token_for_service(service, name) for name in ("ops", "invoices")}

    def admin(self, method: str, path: str, *caveats: object, **request: object) -> TestResponse:
        """Ask as an administrator, whose macaroon has these caveats besides the confirmation."""
        return self.ops(method, path, *caveats, token=self.tokens["ops"], **request)  # type: ignore[no-any-return]

    def follow(self, path: str, **query: str) -> TestResponse:
        """Ask as a resource server."""
        return ask(self.service, path, self.tokens["invoices"], self.certificate, query=query)

    def unbound(self, method: str, path: str) -> TestResponse:
        """Ask with an unbound macaroon."""
        headers = {"Authorization": f"Bearer {self.tokens['ops']}"}
        return self.service.open(path, self.certificate, method=method, headers=headers)

    def stolen(self, method: str, path: str) -> TestResponse:
        """Ask with a macaroon that is bound to another certificate."""
        child = attenuate(self.tokens["ops"], [confirmation(THUMBPRINT)])  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {child}"}
        return self.service.open(path, self.certificate, method=method, headers=headers)

    def revoke(self, kind: str, value: str, **more: object) -> TestResponse:
        """Revoke as an administrator."""
        return self.admin("POST", REVOCATIONS, json={"kind": kind, "value": value, **more})


BAD: dict[str, tuple[Callable[[Asking], TestResponse], int, str]] = {
    "a malformed cursor": (lambda a: a.follow(FEED, after="yesterday"), 400, "invalid_request"),
    "a cursor of another database": (
        lambda a: a.follow(FEED, after=a.foreign_cursor),
        400,
        "invalid_request",
    ),
    "a malformed cursor of the list": (
        lambda a: a.admin("GET", REVOCATIONS, query_string={"after": "1"}),
        400,
        "invalid_request",
    ),
    "a cursor of the feed for the list": (
        lambda a: a.admin("GET", REVOCATIONS, query_string={"after": a.foreign_cursor}),
        400,
        "invalid_request",
    ),
    "another audience's keys": (lambda a: a.follow(AUDIENCE_KEYS, audience=OTHER_API), 403, "access_denied"),
    "a macaroon with another scope": (
        lambda a: a.admin("POST", KEYS + "/rotate", Scope("keys")),
        403,
        "insufficient_scope",
    ),
    "a resource server that administers": (lambda a: a.follow(CLIENTS), 403, "insufficient_scope"),
    "a macaroon for another path": (
        lambda a: a.admin("DELETE", CLIENTS + "/billing", PathPrefix("/admin/keys")),
        401,
        "invalid_token",
    ),
    "a macaroon for reading": (
        lambda a: a.admin("POST", KEYS + "/rotate", Method("GET")),
        401,
        "invalid_token",
    ),
    "an expired macaroon": (lambda a: a.admin("POST", KEYS + "/rotate", Expiry(NOW)), 401, "invalid_token"),
    "an unbound macaroon": (lambda a: a.unbound("POST", KEYS + "/rotate"), 401, "invalid_token"),
    "another connection's macaroon": (lambda a: a.stolen("POST", KEYS + "/rotate"), 401, "invalid_token"),
    "no macaroon": (lambda a: a.service.open(KEYS + "/rotate", a.certificate), 401, "missing_token"),
    "a thumbprint in hex": (lambda a: a.revoke("certificate", "ab" * 32), 400, "invalid_request"),
    "a thumbprint in capitals": (
        lambda a: a.revoke("certificate", THUMBPRINT.upper()),
        400,
        "invalid_request",
    ),
    "a body too large": (
        lambda a: a.admin("POST", REVOCATIONS, data=LARGE, content_type=JSON),
        413,
        "request_too_large",
    ),
    "an unknown member": (lambda a: a.revoke("client", "billing", colour="blue"), 400, "invalid_request"),
    "an unknown member of a client": (
        lambda a: a.admin("POST", CLIENTS, json=NEW | {"colour": "blue"}),
        400,
        "invalid_client_metadata",
    ),
    "a client that exists": (
        lambda a: a.admin("POST", CLIENTS, json=NEW | {"client_id": "billing"}),
        409,
        "invalid_client_metadata",
    ),
    "an unknown kind": (lambda a: a.revoke("everything", "x"), 400, "invalid_request"),
    "no JSON": (
        lambda a: a.admin("POST", REVOCATIONS, data=b"{", content_type=JSON),
        400,
        "invalid_request",
    ),
    "a key that mints": (
        lambda a: a.admin("POST", f"{KEYS}/{a.service.stores.root_keys.current().kid}/retire"),
        409,
        "conflict",
    ),
    "an unknown key": (lambda a: a.admin("POST", KEYS + "/none/retire"), 404, "not_found"),
}


@pytest.fixture(scope="session")
def foreign_cursor(tmp_path_factory: pytest.TempPathFactory, certificate: Identity) -> str:
    """Return a cursor that the feed of another database gave."""
    folder = tmp_path_factory.mktemp("foreign")
    make_database(url_in(folder))
    other = Service(folder, settings_in(folder))
    register(other, "invoices", serves=(API,))
    cursor: str = ask(other, FEED, token_for_service(other), certificate).json["cursor"]
    other.close()
    return cursor


@pytest.fixture(scope="module")
def asking_all(lasting_on_each_database: Service, certificate: Identity, foreign_cursor: str) -> Asking:
    """Return what asks a service on each kind of database: that each of these changes nothing is the law."""
    return Asking(lasting_on_each_database, certificate, foreign_cursor)


@pytest.fixture
def asking(asking_all: Asking, file: Path) -> Iterator[Asking]:
    """Audit what is asked into an empty file."""
    write_log_to(str(file))
    yield asking_all
    write_log_to(None)


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_said_and_changes_nothing(asking: Asking, file: Path, name: str):
    """Each is one precise refusal and one audit line with the same status and code; nothing has changed."""
    ask_badly, status, code = BAD[name]
    before = state(asking.service)
    refused(ask_badly(asking), status, code)
    line = one(file)
    assert (line["event"], line["status"], line.get("error", "missing_token")) == (
        "request.refused",
        status,
        code,
    )
    assert line["reason"]
    assert line["address"] == "127.0.0.1"
    assert state(asking.service) == before
