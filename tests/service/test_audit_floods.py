"""Audit lines of the service that a client without a right of its own can cause: few, and none is hidden."""

from collections import Counter

import pytest

from macaroon_cbat.audit import flush_refusals, refusals
from macaroon_cbat.audit.refusals import DEFAULT_LINES
from macaroon_cbat.macaroon.caveats import Expiry, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.stores import ClientMetadata
from tests.support.administrator import administrator
from tests.support.audit_events import events
from tests.support.databases import NOW
from tests.support.forged_tokens import forged
from tests.support.resource_server import ask, token_for_service
from tests.support.service import grant_of

FLOOD = 3 * DEFAULT_LINES
JUNK = {
    "unknown paths": ("GET", "/nosuch"),
    "no token": ("GET", "/admin/clients"),
    "another method": ("PUT", "/oauth2/token"),
    "no credentials": ("POST", "/oauth2/introspect"),
}


@pytest.fixture(autouse=True)
def _one_budget(monkeypatch):
    """Let no second budget begin, however long a flood takes."""
    monkeypatch.setattr(refusals, "SECONDS", 3600.0)


def introspected(file) -> list[dict[str, object]]:
    return [event for event in events(file) if event["event"] == "token.introspected"]


def test_forged_tokens_at_a_resource_server_are_few_lines(audited, file):
    """Forged tokens that a resource server asks about are bounded lines, and then a count of the rest."""
    altered = forged(audited.token())
    assert {audited.introspect(altered)["active"] for _ in range(FLOOD)} == {False}
    flush_refusals()
    assert len(introspected(file)) == DEFAULT_LINES
    [summary] = [event for event in events(file) if event["event"] == "refusals.omitted"]
    assert summary["counts"] == {"token.introspected inactive": FLOOD - DEFAULT_LINES}


@pytest.mark.parametrize("is_active", [True, False], ids=["active", "expired"])
def test_one_token_at_a_resource_server_is_few_lines(audited, file, is_active):
    """A token that comes again and again is a few lines, and hides no other token."""
    caveats = [] if is_active else [Expiry(NOW - 1)]
    noisy, quiet = (attenuate(audited.token(), caveats) for _ in range(2))
    assert {audited.introspect(noisy)["active"] for _ in range(FLOOD)} == {is_active}
    audited.introspect(quiet)
    count = Counter(event["token_id"] for event in introspected(file))
    assert count == {grant_of(noisy).jti: DEFAULT_LINES // 5, grant_of(quiet).jti: 1}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK)
def test_junk_hides_no_stolen_token(audited, file, certificate, other_certificate, junk):
    """After any junk, the use of a stolen token says whose it is, which, and from where it came."""
    administrator(audited, certificate)
    method, path = junk
    for _ in range(FLOOD):
        audited.open(path, method=method)
    stolen = token_for_service(audited, "ops")
    bound = [confirmation(certificate.thumbprint)]
    assert ask(audited, "/admin/clients", stolen, other_certificate, caveats=bound).status_code == 401
    [line] = [event for event in events(file) if "token_id" in event and event["event"] == "request.refused"]
    assert (line["who"], line["token_id"]) == ("ops", grant_of(stolen).jti)
    assert (line["certificate"], line["address"]) == (other_certificate.thumbprint, "127.0.0.1")
    assert certificate.thumbprint in line["reason"]


def test_a_forged_token_names_nothing_at_the_service_itself(audited, file, certificate):
    """A token whose signature is wrong writes no name into the line of its refusal."""
    administrator(audited, certificate)
    bound = attenuate(token_for_service(audited, "ops"), [confirmation(certificate.thumbprint)])
    assert ask(audited, "/admin/clients", forged(bound), certificate, caveats=()).status_code == 401
    line = events(file)[-1]
    assert (line["event"], "who" in line, "token_id" in line) == ("request.refused", False, False)


def test_the_name_of_a_public_client_is_no_proof(audited, file, certificate):
    """A public client's name, which any certificate goes with, uses up no line about authenticated ones."""
    public = ClientMetadata(
        scope="read", token_endpoint_auth_method="none", tls_client_certificate_bound_access_tokens=True
    )
    audited.stores.clients.add("app", public, secret=None, now=NOW)
    form = {"grant_type": "client_credentials", "client_id": "app"}
    assert audited.open("/oauth2/token", certificate, data=form).status_code == 400
    line = events(file)[-1]
    assert (line["event"], line["error"], "who" in line) == ("token.refused", "unauthorized_client", False)
