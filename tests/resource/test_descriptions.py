"""The words in which a client learns why its token was refused: nothing before the signature holds."""

import re

import pytest
from flask import Flask

from macaroon_cbat import Expiry, Scope
from macaroon_cbat.errors.texts import MAX_DESCRIPTION
from macaroon_cbat.macaroon.caveats import (
    Audience,
    ClientAddress,
    Method,
    NotBefore,
    PathPrefix,
    TargetUri,
    confirmation,
)
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.resource.verifier import OfflineVerifier
from tests.support.forged_tokens import forged
from tests.support.guarded_app import THIEF, bound, call, make_app, parameters
from tests.support.tokens import BOUND, KEYS, NOW, OTHER_CERTIFICATE, signed, token, token_revocation

PREFIX = "the token does not allow this request: "
TOLD = {
    "exp of the token": (lambda: bound(exp=NOW - 45), f"exp {NOW - 45} is in the past, by 45 s"),
    "exp": (lambda: bound(Expiry(NOW - 60)), f"exp {NOW - 60} is in the past, by 60 s"),
    "nbf": (lambda: bound(NotBefore(NOW + 60)), f"nbf {NOW + 60} is in the future, by 60 s"),
    "aud": (lambda: bound(Audience("https://x")), "aud names https://x, and this is https://api.example"),
    "cnf": (lambda: token(confirmation(OTHER_CERTIFICATE)), "cnf names another client certificate than"),
    "htm": (lambda: bound(Method("POST")), "htm allows POST alone"),
    "several htm": (lambda: bound(Method(("PUT", "POST"))), "htm allows PUT POST alone"),
    "htu": (lambda: bound(TargetUri("https://api.example/x")), "htu allows https://api.example/x alone"),
    "path": (lambda: bound(PathPrefix("/x")), "path allows /x alone"),
    "ip": (lambda: bound(ClientAddress("10.0.0.0/8")), "ip allows 10.0.0.0/8 alone"),
    "scope": (lambda: bound(Scope("other")), "the scope caveats leave nothing of the granted scope"),
    "unknown": (lambda: signed(b'{"color":"red"}'), "unknown caveat"),
    "a long unknown": (
        lambda: signed(b'{"exp":1,"' + b"x" * 300 + b'":NaN}'),
        "it holds NaN, which is no JSON",
    ),
    "two": (lambda: bound(Method("PUT"), PathPrefix("/x")), "htm allows PUT alone; path allows /x alone"),
}


def description(response) -> str:
    """Return what the body and the challenge say alike."""
    told: str = response.json["error_description"]
    assert parameters(response)["error_description"] == told
    return told


@pytest.mark.parametrize(("make", "words"), TOLD.values(), ids=TOLD)
def test_the_failed_caveat_is_named(app: Flask, make, words: str):
    """Once the signature holds, the client learns which caveat failed: it can read the token anyway."""
    response = call(app, make())
    assert response.status_code == 401
    assert description(response).startswith(PREFIX)
    assert words in description(response)


def test_a_connection_without_a_certificate_is_named(app: Flask):
    """A client that presented no certificate learns that none arrived, not that it was another one."""
    told = description(call(app, bound(), certificate=None))
    assert told == f"{PREFIX}cnf names a client certificate, and no client certificate reached this server"


FORGED = [
    (),
    (Expiry(NOW - 60),),
    (Method("POST"),),
    (confirmation(OTHER_CERTIFICATE),),
    (Scope("other"), Audience("https://x")),
]


@pytest.mark.parametrize("caveats", FORGED, ids=range(len(FORGED)))
def test_a_forged_token_learns_nothing(app: Flask, caveats):
    """Before the signature holds the answer is the same, whatever the token says and over any connection."""
    altered = forged(bound(*caveats))
    answers = {call(app, altered, certificate=certificate).data for certificate in (None, THIEF, b"x")}
    answers.add(call(app, altered, path="/root").data)
    assert answers == {
        b'{"error":"invalid_token","error_description":"the signature of the token does not match"}'
    }


def test_what_this_server_alone_knows_stays_here(app: Flask, log: pytest.LogCaptureFixture):
    """Neither the address that the server sees nor the path that it routes is told; the log has both."""
    text = bound(ClientAddress("10.0.0.0/8"), PathPrefix("/x"))
    told = description(call(app, text, path="/files/hidden"))
    assert "192.0.2.7" not in told
    assert "hidden" not in told
    assert "192.0.2.7" in log.text
    assert "hidden" in log.text


def test_a_revocation_says_nothing_of_others():
    """A revoked token is called revoked, whatever was revoked, before any caveat is judged."""
    app = make_app(verifier=_Revoking())
    answers = [description(call(app, text)) for text in (bound(), bound(Method("POST")))]
    assert answers == ["the token is revoked"] * 2


class _Revoking(OfflineVerifier):
    """Verifies where the honest token is revoked."""

    def __init__(self) -> None:
        super().__init__(KEYS)
        self._revocations = Revocations([token_revocation("AAECAwQFBgcICQoLDA0ODw")])  # type: ignore[assignment]


EVIL = {
    "quotes": b'{"x":"\\" error_uri=\\"https://evil\\""}',
    "line ends": b'{"x":"\r\nSet-Cookie: a=b"}',
    "beyond ASCII": '{"x":"é☃"}'.encode(),
    "no UTF-8": b'{"x":"\xff\xfe"}',
    "a long one": b'{"x":"' + b"y" * 3000 + b'"}',
    "a long known one": b'{"htm":"' + b"Y" * 3000 + b'"}',
    "a known one beyond ASCII": '{"aud":"é☃\\u0007"}'.encode(),
}


@pytest.mark.parametrize("caveat", EVIL.values(), ids=EVIL)
def test_no_caveat_forges_a_header(app: Flask, caveat: bytes):
    """The description is short and in the characters of RFC 6750, whatever a holder writes into a caveat."""
    response = call(app, signed(f'{{"cnf":{{"x5t#S256":"{BOUND.cnf.thumbprint}"}}}}'.encode(), caveat))
    assert response.status_code == 401
    told = description(response)
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+", told)
    assert len(told) <= MAX_DESCRIPTION
    assert told.startswith(PREFIX)


def test_a_hundred_caveats_are_one_short_line(app: Flask):
    """Of very many failed caveats the description has the first."""
    told = description(call(app, bound(*(Method(f"M{number}") for number in range(90)))))
    assert len(told) <= MAX_DESCRIPTION
    assert "htm allows M0 alone; htm allows M1 alone" in told
