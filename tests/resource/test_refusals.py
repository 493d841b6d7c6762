from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from macaroon_cbat import Expiry, Principal, Scope
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.caveats import Access, Audience, Method, confirmation
from macaroon_cbat.macaroon.keys import AudienceKey
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from tests.support.forged_tokens import forged
from tests.support.guarded_app import THIEF, bound, call, make_app, parameters
from tests.support.tokens import API, ISSUER, KEY, NOW, OTHER_CERTIFICATE, token

METADATA = "https://api.example/.well-known/oauth-protected-resource"


UNKNOWN_KEY = AudienceKey("k1", API, bytes(32), KEY.macaroon_key)
INVALID: dict[str, tuple[Callable[[], str], str]] = {
    "rubbish": (lambda: "rubbish", "the token is malformed"),
    "nothing after the scheme": (lambda: "", "the token is malformed: it is empty"),
    "padded": (lambda: bound() + "=", "the token is malformed: it "),
    "a JWT": (lambda: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "the token is malformed: it is a JWT"),
    "the scheme twice": (lambda: f"Bearer {bound()}", "the token is malformed: it begins with a scheme"),
    "not discharged": (
        lambda: add_third_party_caveat(bound(), 'x", error="none', bytes(32), b"who"),
        "third-party caveat 2 at 'x', error='none' has no discharge of its own",
    ),
    "tampered with": (lambda: forged(bound()), "the signature of the token does not match"),
    "another key": (lambda: bound(key=UNKNOWN_KEY), "the signature of the token does not match"),
    "an unknown key": (
        lambda: bound(kid="k9"),
        "the token was made with a key that is not known here: get one for this",
    ),
    "another audience": (lambda: bound(aud="https://other.example"), "the token was made with a key that"),
    "expired": (lambda: bound(exp=NOW - 30), "the token does not allow this request"),
    "expired child": (lambda: bound(Expiry(NOW - 30)), "the token does not allow this request"),
    "another audience's child": (lambda: bound(Audience("x")), "the token does not allow this request"),
    "another method's": (lambda: bound(Method("POST")), "the token does not allow this request"),
    "another certificate's": (lambda: token(confirmation(OTHER_CERTIFICATE)), "the token does not allow"),
    "nothing left of the scope": (lambda: bound(Scope("other")), "the token does not allow this request"),
    "unbound": (token, "the token is not certificate-bound: append a cnf caveat"),
}


@pytest.mark.parametrize(("make", "description"), INVALID.values(), ids=INVALID)
def test_a_bad_token_is_401_invalid_token(
    app: Flask, log: pytest.LogCaptureFixture, make: Callable[[], str], description: str
):
    """A bad token is 401 invalid_token, in JSON and in the challenge, and one log line says why."""
    response = call(app, make())
    assert response.status_code == 401
    assert response.json is not None
    assert response.json["error"] == "invalid_token"
    assert response.json["error_description"].startswith(description)
    found = parameters(response)
    assert found["error_description"] == response.json["error_description"]
    assert (found["realm"], found["error"], found["resource_metadata"]) == (API, "invalid_token", METADATA)
    assert set(found) == {"realm", "error", "error_description", "resource_metadata"}
    assert response.headers["Cache-Control"] == "no-store"
    assert len(log.records) == 1


def test_no_credentials_is_401_without_an_error_code(app: Flask):
    """Without credentials the challenge has no error code, and says where to learn more (RFC 6750 3.1)."""
    response = call(app)
    assert response.status_code == 401
    assert parameters(response) == {"realm": API, "resource_metadata": METADATA}
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json == {
        "error": "missing_token",
        "error_description": "send a certificate-bound macaroon as Authorization: Bearer",
    }


def test_too_little_scope_names_the_scope(app: Flask, log: pytest.LogCaptureFixture):
    """403 insufficient_scope names the scopes of the resource (RFC 6750 3)."""
    response = call(app, bound(scope="read"), path="/both")
    assert response.status_code == 403
    assert response.json is not None
    assert response.json["error"] == "insufficient_scope"
    found = parameters(response)
    assert (found["error"], found["scope"], found["realm"]) == ("insufficient_scope", "read write", API)
    assert found["resource_metadata"] == METADATA
    assert response.headers["Cache-Control"] == "no-store"
    assert len(log.records) == 1


def test_the_certificate_is_judged_before_the_scope(app: Flask):
    """A stolen token of any scope is 401: no thief learns from a 403 that it would be good otherwise."""
    assert call(app, bound(scope="write"), certificate=THIEF).status_code == 401


class Absent:
    """A verifier that cannot tell."""

    issuer, audience = ISSUER, API

    def verify(self, text: str, access: Access, *, require_certificate: bool, **_: Any) -> Principal:
        """Raise Unavailable."""
        raise Unavailable("the service at 10.0.0.1 is down\nand out")


def test_cannot_tell_is_503(log: pytest.LogCaptureFixture):
    """A request that cannot be judged is 503, never a pass and never a challenge; the log says why."""
    response = call(make_app(verifier=Absent()), bound(), path="/open")
    assert response.status_code == 503
    assert response.json == {
        "error": "temporarily_unavailable",
        "error_description": "the request cannot be judged right now, try again later",
    }
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response.headers
    assert [(r.levelname, "10.0.0.1" in r.getMessage(), "\n" in r.getMessage()) for r in log.records] == [
        ("ERROR", True, False)
    ]


def test_the_caller_learns_no_reason(app: Flask):
    """The answer holds a fixed description: which certificate or time was wanted stays in the log."""
    response = call(app, token(confirmation(OTHER_CERTIFICATE), Expiry(NOW - 7)))
    assert OTHER_CERTIFICATE not in response.text + str(response.headers)
    assert str(NOW - 7) not in response.text + str(response.headers)


def test_a_defect_in_a_verifier_is_no_pass():
    """Any other error of a verifier is 500, and not the answer of the view."""

    class Broken(Absent):
        def verify(self, text: str, access: Access, *, require_certificate: bool, **_: Any) -> Principal:
            """Fail as defects do."""
            raise ZeroDivisionError

    assert call(make_app(verifier=Broken()), bound()).status_code == 500
