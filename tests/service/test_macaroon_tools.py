"""Inspect and restrict, for holders without a macaroon library, in PingAM's JSON shapes."""

import pymacaroons
import pytest

from macaroon_cbat.macaroon.caveats import Access, Expiry, Scope, caveat_text, confirmation
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.databases import NOW
from tests.support.macaroon_tools import raw, restrict
from tests.support.pingam import PINGAM
from tests.support.service import API, ISSUER, grant_of, refused, seconds
from tests.support.tokens import appended, signed, to_text


def inspect(service, body):
    return service.open("/macaroon/inspect", json=body)


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
        "effective": {
            "scope": "read",
            "aud": [API],
            "exp": grant_of(token).exp,
            "cnf": {"x5t#S256": certificate.thumbprint},
        },
        "warnings": [],
    }


def test_a_foreign_macaroon_is_shown(service):
    """Any version 2 macaroon is shown, such as the sample that PingAM publishes."""
    assert inspect(service, {"macaroon": PINGAM}).json == {
        "identifier": "BD1IHha-I-SmUlNDCF81uPFisPU",
        "location": "",
        "caveats": [],
        "signature": "nKhrEUFDwEwSPeTHwRSwTss7a4V0W68nL5Xw-nnRhzQ",
        "effective": {},
        "warnings": [],
    }


def test_a_third_party_caveat_is_shown(service):
    """A third-party caveat is shown with its location and identifier, without its encrypted key."""
    token = add_third_party_caveat(service.token(), "https://idp.example", bytes(range(32)), b"who")
    [caveat] = inspect(service, {"macaroon": token}).json["caveats"]
    assert caveat == {"type": "third-party", "identifier": "who", "location": "https://idp.example"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(
            b'{"scope":"a","scope":"b"}', '{"scope":"a","scope":"b"}', id="a repeated key, as it is"
        ),
        pytest.param(b'{"a":{"b":1,"b":2}}', '{"a":{"b":1,"b":2}}', id="a repeated key inside, as it is"),
        pytest.param(b"time < 2030", "time < 2030", id="text"),
        pytest.param(b"[1]", "[1]", id="an array, as text"),
        pytest.param(b"\xff\xfe", "__4", id="bytes, as base64url"),
        pytest.param(b'{"scpoe":"a"}', {"scpoe": "a"}, id="a slip of the pen"),
        pytest.param(b'{"a":1e999}', '{"a":1e999}', id="an infinite number, as it is"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_what_is_shown_is_what_is_there(service, text, shown):
    """A caveat is shown as JSON where that says all of it, else as its text, with why it is refused."""
    answer = inspect(service, {"macaroon": signed(text)}).json
    [caveat] = answer["caveats"]
    reason = caveat.pop("refused")
    assert caveat == {"type": "first-party", "identifier": shown}
    assert f"caveat 1 is refused: {reason}" in answer["warnings"]
    assert answer["effective"] is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(b'{"colour":"blue"}', {"colour": "blue"}, id="an unknown member"),
        pytest.param(b'{ "role" : "\\u0061", "n": 1.5 }', {"role": "a", "n": 1.5}, id="another spelling"),
        pytest.param(b'{"a":' + b"9" * 30 + b"}", {"a": int("9" * 30)}, id="a huge number"),
    ],
)
def test_a_custom_caveat_is_named(service, text, shown):
    """A caveat that a resource server may judge with code of its own is shown, and a warning says so."""
    answer = inspect(service, {"macaroon": signed(text)}).json
    assert answer["caveats"] == [{"type": "first-party", "identifier": shown, "custom": list(shown)}]
    assert all("is a custom caveat" in warning for warning in answer["warnings"])
    assert answer["effective"] is not None


@pytest.mark.parametrize(
    "text",
    ['{"exp": 1767222060, "nbf": 0}\n', '{"\\u006ebf":0,"exp":1767222060.0}'],
    ids=["a set", "escapes"],
)
def test_a_caveat_is_shown_by_its_value(service, text):
    """A caveat that verifiers understand is shown as the members that it says, however it is spelled."""
    answer = inspect(service, {"macaroon": appended(service.token(), text.encode())}).json
    assert answer["caveats"] == [{"type": "first-party", "identifier": {"exp": 1767222060, "nbf": 0}}]
    assert (answer["effective"]["exp"], answer["warnings"]) == (1767222060, [])


def test_padding_and_the_standard_alphabet_are_mended(service):
    """A token in padded standard base64 is inspected and restricted like any; one in quotes is refused."""
    padded = PINGAM.replace("-", "+").replace("_", "/") + "=" * (-len(PINGAM) % 4)
    assert inspect(service, {"macaroon": padded}).json == inspect(service, {"macaroon": PINGAM}).json
    child = restrict(service, macaroon=padded, caveat={"scope": "read"}).json["macaroon"]
    assert child == attenuate(PINGAM, [Scope("read")])
    answer = restrict(service, macaroon=f'"{PINGAM}"', caveat={"scope": "read"})
    assert "it is in quotes" in refused(answer, 400, "invalid_request")


def test_what_is_nested_deeply_is_shown(service):
    """A caveat of a thousand brackets is shown, too."""
    answer = inspect(service, {"macaroon": signed(b'{"a":' + b"[" * 1500 + b"]" * 1500 + b"}")})
    assert answer.status_code == 200
    assert "[" * 1500 + "]" * 1500 in answer.text


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
    assert set(answer.json) == {"macaroon", "warnings"}
    assert answer.json["warnings"] == []
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


def test_each_member_is_appended_as_a_caveat(service):
    """Of a caveat with several members each is appended by itself, and an unknown one refuses all."""
    token = service.token()
    child = restrict(service, macaroon=token, caveat={"scope": "read", "exp": NOW + 60}).json["macaroon"]
    assert set(read_macaroon(child).caveats) == {b'{"scope":"read"}', b'{"exp":%d}' % (NOW + 60)}
    answer = restrict(service, macaroon=token, caveat={"scope": "read", "role": "x"})
    assert "unknown caveat 'role'" in refused(answer, 400, "invalid_request")


def test_a_custom_caveat_is_appended_on_demand(service):
    """The member `custom` appends caveats of a resource server's own, and a warning says who accepts them."""
    answer = restrict(service, macaroon=service.token(), custom={"payment": {"most": 5}})
    assert read_macaroon(answer.json["macaroon"]).caveats == (b'{"payment":{"most":5}}',)
    [warning] = answer.json["warnings"]
    assert "'payment' is a custom caveat" in warning
    answer = restrict(service, macaroon=service.token(), custom={"scpoe": "read"})
    assert "did you mean scope" in refused(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    ("caveat", "warning"),
    [
        pytest.param({"exp": NOW * 1000}, "it looks like milliseconds, write seconds", id="milliseconds"),
        pytest.param({"exp": NOW + 9000}, "and restricts nothing", id="beyond its own"),
        pytest.param({"scope": "root"}, "no request can use this token", id="no scope left"),
        pytest.param({"aud": "https://other.example"}, "no request can use this token", id="elsewhere"),
        pytest.param({"htm": "get"}, "write methods in capital letters", id="small letters"),
    ],
)
def test_what_a_caveat_does_not_do_is_said(service, caveat, warning):
    """A caveat that restricts nothing, or leaves nothing, is appended all the same, and said to be so."""
    token = service.token()
    answer = restrict(service, macaroon=token, caveat=caveat)
    assert answer.status_code == 200
    [found] = answer.json["warnings"]
    assert warning in found
    assert len(read_macaroon(answer.json["macaroon"]).caveats) == 1


def test_a_macaroon_is_bound_to_this_connection(service, certificate, other_certificate):
    """`bind` appends the thumbprint of the certificate of this very connection, and of no other."""
    token = service.token()
    child = restrict(service, certificate, macaroon=token, bind="connection").json["macaroon"]
    assert read_macaroon(child).caveats == (caveat_text(confirmation(certificate.thumbprint)),)
    assert service.introspect(child, "comparing-api")["cnf"] == {"x5t#S256": certificate.thumbprint}
    again = restrict(service, other_certificate, macaroon=child, bind="connection").json["macaroon"]
    assert service.introspect(again, "comparing-api") == {"active": False}


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
    """A macaroon of a foreign issuer is restricted without its key, and that issuer verifies the child."""
    foreign = pymacaroons.Macaroon(location="", identifier="theirs", key="secret", version=2).serialize()
    child = restrict(service, macaroon=foreign, caveat={"scope": "read"}).json["macaroon"]
    verifier = pymacaroons.Verifier()
    verifier.satisfy_exact('{"scope":"read"}')
    assert verifier.verify(pymacaroons.Macaroon.deserialize(child), "secret")


def test_the_grant_does_not_change(service):
    """A restricted macaroon has the identifier of its parent."""
    token = service.token()
    child = restrict(service, macaroon=token, caveat={"scope": "read"}).json["macaroon"]
    assert grant_of(child) == grant_of(token)
