"""Caveats that a holder appends to a refresh token: they hold for all that is obtained with it."""

from functools import partial
from typing import get_args

import pytest

from macaroon_cbat.errors import CaveatsNotMet, NotDischarged
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    caveat_text,
    confirmation,
    key_confirmation,
)
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import ThirdPartyCaveat, read_macaroon
from tests.support.databases import NOW
from tests.support.refresh import ask_refresh, begun, refreshed, register, rows
from tests.support.service import API, OTHER_API, SECRETS, grant_of, refused
from tests.support.tokens import appended, came_from, digest, spell

CAVEAT_KEY = b"k" * 32


@pytest.fixture(autouse=True)
def _registered(service):
    register(service, audiences=(API, OTHER_API))


TEXTS = {
    "a scope": b'{"scope":"read"}',
    "an expiry": b'{"exp":1767308400}',
    "a method": b'{"htm":"GET"}',
    "a target": b'{"htu":"https://api.example/x"}',
    "a path": b'{"path":"/x"}',
    "an audience": b'{"aud":"https://api.example"}',
    "odd spelling": b' { "scope" : "re\\u0061d" } ',
    "several members": b'{"htm":"GET","scope":"read"}',
    "an unknown caveat": b'{"moon":"full"}',
    "no JSON": b"account = 7",
    "no UTF-8": b"\xff\xfe",
    "empty": b"{}",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_caveat_is_carried(service, text):
    """Access token and successor carry each caveat byte by byte, known to the service or not."""
    answer = refreshed(service, appended(begun(service), text))
    again = refreshed(service, answer["refresh_token"])
    for one in (*(answer[name] for name in ("access_token", "refresh_token")), again["access_token"]):
        assert read_macaroon(one).caveats == (text,)


def test_carried_caveats_do_not_grow(service):
    """Ten rotations carry the same caveats as the first."""
    token = begun(service, "web", Scope("read"), Expiry(NOW + 5000))
    before = read_macaroon(token).caveats
    for _ in range(10):
        token = refreshed(service, token)["refresh_token"]
    assert read_macaroon(token).caveats == before


def test_each_holder_restricts_further(service):
    """Caveats appended to a successor come after those of its predecessor."""
    first = refreshed(service, begun(service, "web", Scope("read write")))["refresh_token"]
    answer = refreshed(service, attenuate(first, [Scope("read")]))
    assert answer["scope"] == "read"
    assert read_macaroon(answer["access_token"]).caveats == (b'{"scope":"read write"}', b'{"scope":"read"}')


def test_a_carried_caveat_restricts_at_the_resource_server(service):
    """A method caveat on the refresh token refuses another method of the access token."""
    answer = refreshed(service, begun(service, "web", Method("GET"), PathPrefix("/x")))
    access = Access(now=NOW, audience=API, method="POST")
    with pytest.raises(CaveatsNotMet, match="htm"):
        verify(answer["access_token"], service.keys(), access, require_certificate=False)


REFUSED = {
    "expired": (Expiry(NOW), "exp 1767222000 is in the past"),
    "not yet": (NotBefore(NOW + 60), "nbf 1767222060 is in the future"),
    "of another certificate": (confirmation("A" * 43), "no client certificate reached"),
    "of a DPoP key": (key_confirmation(KeyThumbprint("A" * 43)), "cnf names a key"),
    "of another address": (ClientAddress("192.0.2.0/24"), "ip allows 192.0.2.0/24 alone"),
}


def test_every_kind_of_caveat_has_its_place():
    """Each known kind of caveat is judged at a refresh, narrows it, or is carried: none is forgotten."""
    judged = {type(caveat) for caveat, _ in REFUSED.values()}
    assert judged | {Scope, Audience, Method, TargetUri, PathPrefix} == set(get_args(Caveat))


@pytest.mark.parametrize(("caveat", "words"), REFUSED.values(), ids=REFUSED)
def test_caveats_about_the_request_are_judged(service, caveat, words):
    """exp, nbf, cnf and ip refuse the refresh itself, and the unrestricted token stays as good as it was."""
    token = begun(service)
    assert words in refused(ask_refresh(service, attenuate(token, [caveat])), 400, "invalid_grant")
    refreshed(service, token)


def test_an_address_caveat_is_judged_by_the_connection(service):
    """An ip caveat lets the refresh pass from its network, by the address that the server itself saw."""
    form = {"grant_type": "refresh_token", "client_id": "web", "client_secret": SECRETS["billing"]}
    form["refresh_token"] = begun(service, "web", ClientAddress("192.0.2.0/24"))
    asked = partial(service.app.test_client().post, "/oauth2/token", data=form)
    forged = {"X-Forwarded-For": "192.0.2.7"}
    refused(asked(environ_overrides=came_from("198.51.100.7"), headers=forged), 400, "invalid_grant")
    answer = asked(environ_overrides=came_from("192.0.2.7"))
    assert read_macaroon(answer.json["access_token"]).caveats == (b'{"ip":"192.0.2.0/24"}',)


MIXED = {
    "a certificate": b'{"cnf":{"x5t#S256":"%b"},"payment":{"most":1}}' % (b"A" * 43),
    "an expiry": b'{"payment":{"most":1},"exp":1767222000}',
}


@pytest.mark.parametrize("text", MIXED.values(), ids=MIXED)
def test_a_known_caveat_beside_a_custom_one_is_judged(service, text):
    """A caveat that only a resource server knows hides none that is known here."""
    token = begun(service)
    refused(ask_refresh(service, appended(token, text)), 400, "invalid_grant")
    refreshed(service, token)


def test_a_known_scope_beside_a_custom_caveat_narrows(service):
    """A scope in one text with a custom caveat narrows the grant, and the whole text is carried."""
    text = b'{"payment":{"most":1},"scope":"read"}'
    answer = refreshed(service, appended(begun(service), text))
    assert answer["scope"] == "read"
    assert read_macaroon(answer["access_token"]).caveats == (text,)


def test_a_restricted_copy_does_not_unbind(service, certificate, other_certificate):
    """A holder may bind a copy to a certificate: it is refreshed over that connection alone."""
    token = begun(service, "web", confirmation(certificate.thumbprint))
    refused(ask_refresh(service, token, "web", other_certificate), 400, "invalid_grant")
    answer = refreshed(service, token, "web", certificate)
    [caveat] = read_macaroon(answer["access_token"]).caveats
    assert caveat == caveat_text(confirmation(certificate.thumbprint))


def test_an_expiry_caveat_shortens_the_access_token(service):
    """The answer says how long the access token lives, its caveats considered."""
    answer = refreshed(service, begun(service, "web", Expiry(NOW + 90)))
    assert (answer["expires_in"], grant_of(answer["access_token"]).exp) == (90, NOW + 90)


SCOPES = {
    "nothing left": ((Scope("audit"),), {}, "invalid_scope", "leave no scope"),
    "more than is left": ((Scope("read"),), {"scope": "write"}, "invalid_scope", "'write' is not among"),
    "another audience": ((Audience(OTHER_API),), {}, "invalid_target", "an aud caveat"),
}


@pytest.mark.parametrize(("caveats", "form", "code", "words"), SCOPES.values(), ids=SCOPES)
def test_caveats_narrow_the_grant(service, caveats, form, code, words):
    """Scope and aud caveats bound what may be requested."""
    token = begun(service)
    assert words in refused(ask_refresh(service, attenuate(token, caveats), **form), 400, code)
    refreshed(service, token)


def test_an_audience_caveat_may_choose(service):
    """Of a family for two audiences, a copy may be for one of them."""
    token = begun(service, "web", Audience(OTHER_API), audience=(API, OTHER_API))
    refused(ask_refresh(service, token, resource=API), 400, "invalid_target")
    answer = refreshed(service, token, resource=OTHER_API)
    assert grant_of(answer["access_token"]).aud == OTHER_API


def test_a_third_party_caveat_is_carried(service):
    """The access token needs the discharge that the holder demanded on the refresh token."""
    token = add_third_party_caveat(begun(service), "https://who.example", CAVEAT_KEY, b"who")
    access = refreshed(service, token)["access_token"]
    [caveat] = read_macaroon(access).caveats
    assert isinstance(caveat, ThirdPartyCaveat)
    request = Access(now=NOW, audience=API)
    with pytest.raises(NotDischarged):
        verify(access, service.keys(), request, require_certificate=False)
    discharge = bind_discharge(access, mint_discharge("https://who.example", CAVEAT_KEY, b"who"))
    verify(access, service.keys(), request, require_certificate=False, discharges=[discharge])


def test_a_third_party_caveat_without_a_key_refreshes_nothing(service):
    """A third-party caveat that cannot be carried on is refused, not left out."""
    token = begun(service)
    damaged = with_vid(token, b"no key")
    refused(ask_refresh(service, damaged), 400, "invalid_grant")
    refreshed(service, token)


def with_vid(token: str, vid: bytes) -> str:
    """Append a third-party caveat with any `vid`, as a holder can."""
    read = read_macaroon(token)
    signature = digest(read.signature, digest(read.signature, vid) + digest(read.signature, b"x"))
    caveats = (*read.caveats, ThirdPartyCaveat(b"here", b"x", vid))
    return spell(type(read)(read.location, read.identifier, caveats, signature))


def test_what_no_token_could_carry_costs_no_token(service):
    """Caveats that make the access token longer than any may be are refused, and nothing is rotated."""
    token = begun(service)
    full = max(
        (padded(token, size) for size in range(5500, 6000)), key=lambda one: len(one) * (len(one) <= 8000)
    )
    before = rows(service)
    assert "at most 8000 characters" in refused(ask_refresh(service, full), 400, "invalid_request")
    assert rows(service) == before
    refreshed(service, token)


def padded(token: str, size: int) -> str:
    """Append a caveat of this size."""
    return appended(token, b'{"htu":"https://api.example/' + b"x" * size + b'"}')
