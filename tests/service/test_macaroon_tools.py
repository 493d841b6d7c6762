"""Inspect and restrict, for holders without a macaroon library, in PingAM's JSON shapes."""

import json

import pymacaroons
import pytest

from macaroon_cbat.caveats import Access, Expiry, Scope, caveat_text, confirmation
from macaroon_cbat.minting import add_third_party_caveat, attenuate
from macaroon_cbat.verification import verify
from macaroon_cbat.wire import read_macaroon
from tests.core.material import signed, to_text
from tests.service.material import API, ISSUER, grant_of, refused, seconds
from tests.service.test_inactive import PINGAM
from tests.stores.material import NOW


def inspect(service, body):
    return service.open("/macaroon/inspect", json=body)


def restrict(service, certificate=None, **body):
    return service.open("/macaroon/restrict", certificate, json=body)


def raw(service, path, text: str | bytes):
    return service.open(path, data=text, content_type="application/json")


def test_a_macaroon_is_shown_in_pingams_shape(service, certificate):
    """Inspecting shows identifier, location, caveats and signature, as PingAM spells them."""
    token = attenuate(service.token(), [Scope("read"), confirmation(certificate.thumbprint)])
    answer = inspect(service, {"macaroon": token})
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    macaroon = read_macaroon(token)
    assert answer.json == {
        "identifier": macaroon.identifier.decode(),
        "location": ISSUER,
        "caveats": [
            {"type": "first-party", "identifier": {"scope": "read"}},
            {"type": "first-party", "identifier": {"cnf": {"x5t#S256": certificate.thumbprint}}},
        ],
        "signature": to_text(macaroon.signature),
    }


def test_a_foreign_macaroon_is_shown(service):
    """Any version 2 macaroon is shown, such as the sample that PingAM publishes."""
    assert inspect(service, {"macaroon": PINGAM}).json == {
        "identifier": "BD1IHha-I-SmUlNDCF81uPFisPU",
        "location": "",
        "caveats": [],
        "signature": "nKhrEUFDwEwSPeTHwRSwTss7a4V0W68nL5Xw-nnRhzQ",
    }


def test_a_third_party_caveat_is_shown(service):
    """A third-party caveat is shown with its location and identifier, without its encrypted key."""
    token = add_third_party_caveat(service.token(), "https://idp.example", bytes(range(32)), b"who")
    [caveat] = inspect(service, {"macaroon": token}).json["caveats"]
    assert caveat == {"type": "third-party", "identifier": "who", "location": "https://idp.example"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(b'{"colour":"blue"}', {"colour": "blue"}, id="an unknown member"),
        pytest.param(b'{"exp":1,"nbf":2}', {"exp": 1, "nbf": 2}, id="two members"),
        pytest.param(
            b'{"scope":"a","scope":"b"}', '{"scope":"a","scope":"b"}', id="a repeated key, as it is"
        ),
        pytest.param(b'{"a":{"b":1,"b":2}}', '{"a":{"b":1,"b":2}}', id="a repeated key inside, as it is"),
        pytest.param(b"time < 2030", "time < 2030", id="text"),
        pytest.param(b"[1]", "[1]", id="an array, as text"),
        pytest.param(b"\xff\xfe", "__4", id="bytes, as base64url"),
        pytest.param(b'{"a":' + b"9" * 30 + b"}", {"a": int("9" * 30)}, id="a huge number"),
        pytest.param(b'{"a":1e999}', '{"a":1e999}', id="an infinite number, as it is"),
        pytest.param(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}", None, id="nested deeply"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_what_is_shown_is_what_is_there(service, text, shown):
    """A caveat is shown as JSON where that says all of it, and otherwise as its text."""
    [caveat] = inspect(service, {"macaroon": signed(text)}).json["caveats"]
    assert caveat == {"type": "first-party", "identifier": text.decode() if shown is None else shown}


@pytest.mark.parametrize(
    "caveat",
    [
        pytest.param({"scope": "read"}, id="bare"),
        pytest.param({"type": "first-party", "identifier": {"scope": "read"}}, id="as PingAM shows it"),
    ],
)
def test_a_caveat_is_appended(service, caveat):
    """Restricting returns the macaroon with the caveat appended, in its canonical spelling."""
    token = service.token()
    answer = restrict(service, macaroon=token, caveat=caveat)
    assert answer.status_code == 200
    assert set(answer.json) == {"macaroon"}
    assert answer.headers["Cache-Control"] == "no-store"
    child = answer.json["macaroon"]
    assert read_macaroon(child).caveats == (b'{"scope":"read"}',)
    access = Access(now=seconds(NOW), audience=API)
    assert verify(child, service.keys(), access, require_certificate=False).scope == {"read"}


@pytest.mark.parametrize(
    ("spelled", "text"),
    [
        ('{ "exp" : 1767222060 }', b'{"exp":1767222060}'),
        ('{"\\u0073cope":"read"}', b'{"scope":"read"}'),
        ('\n{"aud":[ "https://a", "https://b" ]}\n', b'{"aud":["https://a","https://b"]}'),
        ('{"type":"first-party","identifier":{ "htm" : "GET" }}', b'{"htm":"GET"}'),
    ],
)
def test_a_caveat_is_mended(service, spelled, text):
    """However a caveat is spaced or escaped, what is appended is its one canonical spelling."""
    body = f'{{"macaroon":"{service.token()}","caveat":{spelled}}}'
    child = raw(service, "/macaroon/restrict", body).json["macaroon"]
    assert read_macaroon(child).caveats == (text,)


def test_a_macaroon_is_bound_to_this_connection(service, certificate, other_certificate):
    """`bind` appends the thumbprint of the certificate of this very connection, and of no other."""
    token = service.token()
    child = restrict(service, certificate, macaroon=token, bind="connection").json["macaroon"]
    assert read_macaroon(child).caveats == (caveat_text(confirmation(certificate.thumbprint)),)
    assert service.introspect(child)["cnf"] == {"x5t#S256": certificate.thumbprint}
    again = restrict(service, other_certificate, macaroon=child, bind="connection").json["macaroon"]
    assert service.introspect(again) == {"active": False}


def test_a_caveat_and_a_binding_go_together(service, certificate):
    """A caveat and `bind` in one request are both appended."""
    body = {"macaroon": service.token(), "caveat": {"exp": NOW + 60}, "bind": "connection"}
    child = restrict(service, certificate, **body).json["macaroon"]
    assert read_macaroon(child).caveats == (
        caveat_text(Expiry(NOW + 60)),
        caveat_text(confirmation(certificate.thumbprint)),
    )


def test_without_a_certificate_nothing_is_bound(service):
    """`bind` over a connection without a client certificate is refused: no unbound macaroon comes back."""
    answer = restrict(service, macaroon=service.token(), bind="connection")
    assert "no client certificate" in refused(answer, 400, "invalid_request")


def test_no_key_is_needed(service):
    """A macaroon of anybody is restricted, and its own issuer verifies the child."""
    foreign = pymacaroons.Macaroon(location="", identifier="theirs", key="secret", version=2).serialize()
    child = restrict(service, macaroon=foreign, caveat={"scope": "read"}).json["macaroon"]
    verifier = pymacaroons.Verifier()
    verifier.satisfy_exact('{"scope":"read"}')
    assert verifier.verify(pymacaroons.Macaroon.deserialize(child), "secret")


@pytest.mark.parametrize(
    "caveat",
    [
        pytest.param('{"colour":"blue"}', id="unknown"),
        pytest.param('{"exp":1,"nbf":2}', id="two members"),
        pytest.param("{}", id="no member"),
        pytest.param('{"scope":"a","scope":"b"}', id="a repeated key"),
        pytest.param('{"cnf":{"x5t#S256":"a","x5t#S256":"b"}}', id="a repeated key inside"),
        pytest.param('{"exp":"1767222060"}', id="a number as text"),
        pytest.param('{"exp":1e999}', id="an infinite number"),
        pytest.param('{"exp":' + "9" * 30 + "}", id="a huge number"),
        pytest.param('{"exp":' + "9" * 5000 + "}", id="a number of 5,000 digits"),
        pytest.param('{"scope":"\\ud800"}', id="half a character"),
        pytest.param('{"scope":""}', id="an empty scope"),
        pytest.param('{"cnf":{"x5t#S256":"' + "ab" * 32 + '"}}', id="a thumbprint in hex"),
        pytest.param('"scope = read"', id="text"),
        pytest.param("null", id="null"),
        pytest.param("[]", id="an array"),
        pytest.param("7", id="a number"),
        pytest.param('{"type":"third-party","identifier":{"scope":"a"}}', id="wrapped as third-party"),
        pytest.param('{"type":"first-party","identifier":{"scope":"a"},"x":1}', id="wrapped with more"),
        pytest.param('{"type":"first-party"}', id="wrapped without content"),
        pytest.param(
            '{"type":"first-party","identifier":{"scope":"a"},"identifier":{"scope":"b"}}', id="wrapped twice"
        ),
        pytest.param("[" * 20_000 + "]" * 20_000, id="nested deeply"),
        pytest.param(
            '{"type":"first-party","identifier":' + "[" * 9000 + "]" * 9000 + "}", id="nested inside"
        ),
    ],
)
def test_a_caveat_that_nobody_could_read_is_refused(service, caveat):
    """A caveat that every verifier would refuse is refused here, before it is appended."""
    body = f'{{"macaroon":"{service.token()}","caveat":{caveat}}}'
    assert len(refused(raw(service, "/macaroon/restrict", body), 400, "invalid_request")) < 300


@pytest.mark.parametrize("path", ["/macaroon/inspect", "/macaroon/restrict"])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="nothing"),
        pytest.param("{", id="half an object"),
        pytest.param("[]", id="an array"),
        pytest.param("{}", id="no macaroon"),
        pytest.param('{"macaroon":null}', id="null"),
        pytest.param('{"macaroon":7}', id="a number"),
        pytest.param('{"macaroon":"x","colour":"blue"}', id="an unknown member"),
        pytest.param('{"macaroon":"x","a\\nERROR forged":1}', id="a member of two lines"),
        pytest.param(
            f'{{"macaroon":"{PINGAM}","macaroon":"{PINGAM}","caveat":{{"exp":1}}}}', id="a repeated key"
        ),
        pytest.param('{"macaroon":"\\ud800","caveat":{"exp":1}}', id="half a character"),
        pytest.param('{"macaroon":"\u00e4","caveat":{"exp":1}}', id="a macaroon not in ASCII"),
        pytest.param('{"macaroon":"","caveat":{"exp":1}}', id="an empty macaroon"),
        pytest.param('{"macaroon":"AgE","caveat":{"exp":1}}', id="half a macaroon"),
        pytest.param('{"macaroon":"' + "A" * 9000 + '","caveat":{"exp":1}}', id="a long macaroon"),
        pytest.param('{"macaroon":"' + PINGAM + '=","caveat":{"exp":1}}', id="a padded macaroon"),
        pytest.param(b'{"macaroon":"\xff"}', id="no UTF-8"),
        pytest.param("[" * 60_000, id="nested deeply"),
        pytest.param('{"x":' + "[" * 60_000, id="nested deeply inside"),
    ],
)
def test_a_malformed_request_is_refused(service, caplog, path, body):
    """A body that is not exactly the expected JSON is invalid_request, with one line in the log."""
    with caplog.at_level("INFO", "macaroon_cbat"):
        refused(raw(service, path, body), 400, "invalid_request")
    [record] = caplog.records
    assert record.getMessage().isprintable()


def test_nothing_to_append_is_refused(service):
    """A request that restricts nothing is refused."""
    for body in ({}, {"bind": None}):
        answer = restrict(service, macaroon=service.token(), **body)
        assert "say what to append" in refused(answer, 400, "invalid_request")
    for bind in ("certificate", "", True, {}):
        refused(restrict(service, macaroon=service.token(), bind=bind), 400, "invalid_request")


def test_a_child_beyond_the_limits_is_refused(service):
    """A macaroon that has as many caveats as anybody reads gets no further one."""
    token = attenuate(service.token(), [Scope("read")] * 100)
    answer = restrict(service, macaroon=token, caveat={"scope": "read"})
    assert "at most 100 caveats" in refused(answer, 400, "invalid_request")


@pytest.mark.parametrize("path", ["/macaroon/inspect", "/macaroon/restrict"])
def test_only_json_by_post_is_read(service, path):
    """Other methods are 405, other content types 415, large bodies 413, all in JSON."""
    refused(service.open(path, method="GET"), 405, "method_not_allowed")
    refused(service.open(path, data={"macaroon": PINGAM}), 415, "invalid_request")
    refused(service.open(path, data="{}", content_type="text/json"), 415, "invalid_request")
    large = json.dumps({"macaroon": "A" * 70_000})
    refused(raw(service, path, large), 413, "request_too_large")


def test_the_grant_does_not_change(service):
    """A restricted macaroon has the identifier of its parent."""
    token = service.token()
    child = restrict(service, macaroon=token, caveat={"scope": "read"}).json["macaroon"]
    assert grant_of(child) == grant_of(token)
