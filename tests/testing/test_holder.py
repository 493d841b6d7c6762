"""Fake holders through the test client of each framework, as an application's own tests use them."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client, RequestFactory
from fastapi import Depends, WebSocket
from flask import Flask

from macaroon_cbat import Audience, ClientAddress, Method, PathPrefix, TargetUri, der_of
from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource import Guard
from macaroon_cbat.testing import FakeHolder, fake_keys
from tests.support import django_project
from tests.support.denying_applications import URLS
from tests.support.kit_clients import CLIENTS, KEYS, Status, TestClient, fastapi, through_flask

HOLDER, THIEF = FakeHolder(KEYS), FakeHolder(KEYS)
NAKED = FakeHolder(KEYS, with_certificate=False)
MET = (
    PathPrefix("/invoices"),
    Method("GET"),
    TargetUri("https://api.example/invoices"),
    Audience("https://api.example"),
)
REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"expired": True},
    "unbound": {"unbound": True},
    "another audience's": {"audience": "https://other.example"},
    "another path's": {"caveats": [PathPrefix("/other")]},
    "another method's": {"caveats": [Method("POST")]},
    "another holder's": {"bound_to": THIEF},
    "another thumbprint's": {"bound_to": THIEF.thumbprint},
}


@pytest.fixture(params=CLIENTS.values(), ids=list(CLIENTS))
def status(request: pytest.FixtureRequest) -> Status:
    """Each client in turn."""
    chosen: Status = request.param
    return chosen


def test_a_holder_is_let_in(status: Status):
    """A token with the scope, over a connection with the certificate that it is bound to, is let in."""
    assert status(HOLDER, "read") == 200
    assert status(HOLDER, "write read", caveats=MET) == 200


@pytest.mark.parametrize("options", REFUSED.values(), ids=REFUSED)
def test_each_option_is_refused(status: Status, options: dict[str, Any]):
    """Each option makes a token that the guard really refuses."""
    assert status(HOLDER, "read", **options) == 401


def test_scopes_are_never_right_by_chance(status: Status):
    """Without a scope a token has one that no view requires."""
    assert status(HOLDER) == status(HOLDER, "write") == 403


def test_a_stolen_token_is_worthless(status: Status):
    """A token is refused over the connection of another holder, and over one without a certificate."""
    assert status(THIEF, token=HOLDER.token("read")) == 401
    assert status(NAKED, token=HOLDER.token("read")) == 401
    assert status(HOLDER, token=HOLDER.token("read")) == 200


def test_no_token_and_rubbish(status: Status):
    """A request may have no token, or any text for one."""
    assert status(HOLDER, token=None) == status(HOLDER, token="rubbish") == 401


def test_keys_of_one_call_open_no_other_guard(status: Status):
    """Fake keys are random: what is minted with some is refused by the guard that has others."""
    assert status(HOLDER, "read", keys=fake_keys()) == 401


def test_a_holder_for_all_requests_of_a_client():
    """Django's Client takes a holder for all its requests, and its factory makes requests of one."""
    with django_project.changed({"keys": KEYS}, URLS):
        assert Client(**HOLDER.django("read")).get("/invoices").status_code == 200
        assert Client().post("/invoices", {"a": 1}, **HOLDER.django("read")).status_code == 200
    assert RequestFactory().get("/invoices", **HOLDER.django("read")).headers["Authorization"]


def test_addresses():
    """A WSGI application sees the holder's address, by the connection and not by a header."""
    local = [ClientAddress("127.0.0.1/32")]
    assert through_flask(HOLDER, "read", caveats=local) == 200
    assert through_flask(FakeHolder(KEYS, address="192.0.2.7"), "read", caveats=local) == 401


def test_a_websocket():
    """A WebSocket of Starlette's test client is over the same connection as a request."""
    app, guard = fastapi()

    @app.websocket("/live")
    async def live(socket: WebSocket, principal: Any = Depends(guard.require("read"))) -> None:  # noqa: B008 # FastAPI's way
        await socket.accept()
        await socket.send_text(principal.client_id)

    client = TestClient(HOLDER.over_tls(app))
    with client.websocket_connect("/live", headers=HOLDER.headers("read")) as socket:
        assert socket.receive_text() == "test-client"


def test_overriding_the_dependency():
    """FastAPI's overrides take the guard's place by the dependency of the same scopes."""
    app, guard = fastapi()
    app.dependency_overrides[guard.require("read")] = lambda: HOLDER.principal("read")
    assert TestClient(app).get("/invoices").json() == "test-client"


def test_a_principal_is_what_the_guard_finds():
    """The principal of a holder says what its token says, and an invalid one is refused as the guard does."""
    found = FakeHolder(KEYS, client_id="billing", subject="alice").principal("read write")
    assert (found.client_id, found.subject, found.scope) == ("billing", "alice", {"read", "write"})
    assert HOLDER.principal("read").certificate == HOLDER.thumbprint
    assert HOLDER.principal("read", unbound=True).certificate is None
    with pytest.raises(InvalidToken):
        HOLDER.principal("read", expired=True)


def test_a_clock_is_shared_with_the_guard():
    """A test that sets the guard's clock gives the holder the same."""
    early = FakeHolder(KEYS, clock=lambda: 1_767_222_000)
    app = Flask("shop")
    guard = Guard(app, keys=KEYS, clock=lambda: 1_767_222_000)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "in"))
    assert app.test_client().get("/invoices", **early.flask("read")).status_code == 200
    assert app.test_client().get("/invoices", **early.flask("read", expired=True)).status_code == 401
    assert through_flask(early, "read") == 401


def test_a_certificate_of_one_s_own(tmp_path: Path):
    """A holder may have a real certificate, in PEM or DER."""
    trustme = pytest.importorskip("trustme")
    pem = trustme.CA().issue_cert("holder.example").cert_chain_pems[0].bytes()
    holder = FakeHolder(KEYS, certificate=pem)
    assert holder.thumbprint == FakeHolder(KEYS, certificate=der_of(pem)).thumbprint
    assert through_flask(holder, "read") == 200


def test_a_key_file_of_fake_keys(tmp_path: Path):
    """An application that reads a key file can have one with the fake keys."""
    file = tmp_path / "keys.json"
    file.write_bytes(write_key_file(KEYS))
    app = Flask("shop")
    guard = Guard(app, keys=file)
    app.add_url_rule("/invoices", "invoices", guard.require("read")(lambda: "in"))
    assert app.test_client().get("/invoices", **HOLDER.flask("read")).status_code == 200


CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "unbound and bound": ({"unbound": True, "bound_to": THIEF}, "not both"),
    "a token and options": ({"token": "x", "expired": True}, "no further options"),
    "two spaces": ({"scope": "read  write"}, "single space"),
    "no scope": ({"scope": ""}, "single space"),
    "no thumbprint": ({"bound_to": "x"}, "thumbprint is"),
}


@pytest.mark.parametrize(("options", "reason"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_contradictions_are_errors_of_the_test(options: dict[str, Any], reason: str):
    """Options that contradict each other raise, so that no test passes for the wrong reason."""
    with pytest.raises(ValueError, match=reason):
        HOLDER.headers(**options)
    with pytest.raises(TypeError, match="expire"):
        HOLDER.headers("read", expire=True)  # type: ignore[call-arg]


def test_a_holder_without_a_certificate_binds_to_another_one():
    """A holder without a certificate says what its tokens need."""
    with pytest.raises(ValueError, match="unbound=True or bound_to=HOLDER"):
        NAKED.token("read")
    assert through_flask(HOLDER, token=NAKED.token("read", bound_to=HOLDER)) == 200
