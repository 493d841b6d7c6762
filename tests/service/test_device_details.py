"""Authorization details (RFC 9396) of a device: a person reads and approves them, and the token has them."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.devices import PersonInBrowser, begin, poll, register_terminal
from tests.support.people import PeopleByCookie
from tests.support.service import API, Service, refused

TYPES = f"""
[payment]
description = "Pay from an account"
audiences = ["{API}"]

[payment.members]
to = "string"

[lien]
description = "Put a lien on it"
audiences = ["https://other.example"]
"""
PAYMENT = {"type": "payment", "to": "<b>Müller & Söhne</b>" + "x" * 150}


@pytest.fixture
def service(service: Service, tmp_path: Path) -> Iterator[Service]:
    """Start a service at which people sign in, and that knows two types."""
    file = tmp_path / "types.toml"
    file.write_text(TYPES)
    settings = replace(service.settings, authorization_details=file)
    knowing = Service(service.folder, settings, people=PeopleByCookie())
    register_terminal(knowing, authorization_details_types=("payment", "lien"))
    yield knowing
    knowing.close()


def test_a_person_approves_details(service, certificate):
    """The page shows each detail whole, as text; the token carries what was approved."""
    begun = begin(service, certificate, authorization_details=json.dumps([PAYMENT])).json
    ada = PersonInBrowser(service)
    page = ada.enter(begun["user_code"]).text
    assert "Pay from an account" in page
    assert "&lt;b&gt;Müller &amp; Söhne&lt;/b&gt;" + "x" * 150 in page
    ada.decide(begun["user_code"])
    answer = poll(service, begun["device_code"], certificate).json
    assert answer["authorization_details"] == [PAYMENT]
    caveats = [json.loads(text) for text in read_macaroon(answer["access_token"]).caveats]
    assert {"authorization_details": [PAYMENT]} in caveats


REFUSED = {
    "unknown": [{"type": "gift"}],
    "of another resource server": [{"type": "lien"}],
    "with an unknown member": [PAYMENT | {"from": "x"}],
    "no list": {"type": "payment"},
}


@pytest.mark.parametrize("details", REFUSED.values(), ids=REFUSED)
def test_unusable_details_are_refused(service, certificate, details):
    """Details that are malformed, unknown or for another resource server begin no login."""
    answer = begin(service, certificate, authorization_details=json.dumps(details))
    refused(answer, 400, "invalid_authorization_details")


def test_a_poll_adds_no_detail(service, certificate):
    """A device cannot poll for a detail that the person did not approve."""
    begun = begin(service, certificate, authorization_details=json.dumps([PAYMENT])).json
    PersonInBrowser(service).decide(begun["user_code"])
    other = json.dumps([PAYMENT | {"to": "Eve"}])
    answer = poll(service, begun["device_code"], certificate, authorization_details=other)
    refused(answer, 400, "invalid_authorization_details")
