"""The contract of every adapter: the requests that it admits, and its answers to all others."""

from collections.abc import Callable

import pytest

from macaroon_cbat import Expiry, Scope
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.macaroon.caveats import Audience, Method, confirmation
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.keys import audience_keys
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.adapters import ADDRESS
from tests.support.challenges import challenge_of
from tests.support.counters import counts, difference
from tests.support.forged_tokens import forged
from tests.support.guarded_app import CERTIFICATE, METHODS, THIEF, WELL_KNOWN, bound
from tests.support.log_lines import line_of
from tests.support.tokens import API, ISSUER, NOW, OTHER_CERTIFICATE, ROOT, token

METADATA = API + WELL_KNOWN
LET_IN = {"client": "billing", "scope": ["admin", "read", "write"]}
DUPLICATES = {
    "two tokens": ("Bearer {0}", "Bearer {0}"),
    "a token and a password": ("Bearer {0}", "Basic eDp5"),
    "a password and a token": ("Basic eDp5", "Bearer {0}"),
    "a token and rubbish": ("Bearer {0}", "Bearer rubbish"),
}


class Absent:
    """A verifier that cannot tell."""

    issuer, audience = ISSUER, API

    def verify(self, text, access, *, require_certificate, **_):
        """Raise Unavailable."""
        raise Unavailable("the service at 10.0.0.1 is down\nand out")


class Broken(Absent):
    """A verifier with a defect."""

    def verify(self, text, access, *, require_certificate, **_):
        """Fail as defects do."""
        raise ZeroDivisionError


INVALID: dict[str, tuple[Callable[[], str], str]] = {
    "rubbish": (lambda: "rubbish", "MalformedMacaroon"),
    "nothing after the scheme": (lambda: "", "MalformedMacaroon"),
    "bytes beyond ASCII": (lambda: bound()[:40] + "\xe9" + bound()[41:], "MalformedMacaroon"),
    "tampered with": (lambda: forged(bound()), "SignatureMismatch"),
    "expired": (lambda: bound(exp=NOW - 30), "CaveatsNotMet"),
    "expired child": (lambda: bound(Expiry(NOW - 30)), "CaveatsNotMet"),
    "another audience's": (lambda: bound(Audience("x")), "CaveatsNotMet"),
    "another method's": (lambda: bound(Method("POST")), "CaveatsNotMet"),
    "another certificate's": (lambda: token(confirmation(OTHER_CERTIFICATE)), "CaveatsNotMet"),
    "nothing left of the scope": (lambda: bound(Scope("other")), "CaveatsNotMet"),
    "unbound": (token, "NotCertificateBound"),
}


def test_the_right_certificate_lets_in(adapter, guarded):
    """The view runs over the holder's own connection, and knows the principal."""
    reply = adapter.call(guarded, bound())
    assert (reply.status, {**reply.json(), "rest": ""}) == (200, {**LET_IN, "rest": ""})
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("WWW-Authenticate") is None


@pytest.mark.parametrize("certificate", [None, THIEF, b""], ids=["none", "another's", "no bytes"])
def test_a_stolen_token_is_worthless(adapter, guarded, certificate):
    """A token over any connection but the holder's is 401, whatever its scope."""
    for text in (bound(), bound(scope="other")):
        reply = adapter.call(guarded, text, certificate=certificate)
        assert (reply.status, reply.json()["error"]) == (401, "invalid_token")


@pytest.mark.parametrize(("make", "reason"), INVALID.values(), ids=INVALID)
def test_a_bad_token_is_401(adapter, guarded, log, make, reason):
    """A bad token is 401 invalid_token with a challenge, one audit line and one count."""
    before = counts()
    reply = adapter.call(guarded, make())
    assert (reply.status, reply.json()["error"]) == (401, "invalid_token")
    challenge = challenge_of(reply)
    assert f'realm="{API}", error="invalid_token", error_description="' in challenge
    assert f'resource_metadata="{METADATA}"' in challenge
    assert reply.header("Cache-Control") == "no-store"
    assert (line_of(log)["status"], line_of(log)["error"]) == (401, "invalid_token")
    assert difference(before) == {("refused_total", reason): 1}


def test_no_token_is_401_without_an_error_code(adapter, guarded):
    """Without credentials the challenge has no error code (RFC 6750 3.1)."""
    for headers in ((), (("Authorization", "Basic eDp5"),)):
        reply = adapter.call(guarded, headers=headers)
        assert (reply.status, reply.json()["error"]) == (401, "missing_token")
        assert challenge_of(reply) == f'Bearer realm="{API}", resource_metadata="{METADATA}"'


def test_too_little_scope_is_403(adapter, guarded, log):
    """A token that lacks a scope is 403, and the challenge names the scopes (RFC 6750 3)."""
    reply = adapter.call(guarded, bound(scope="read"), path="/both")
    assert (reply.status, reply.json()["error"]) == (403, "insufficient_scope")
    assert 'error="insufficient_scope"' in challenge_of(reply)
    assert 'scope="read write"' in challenge_of(reply)
    assert reply.header("Cache-Control") == "no-store"
    assert line_of(log)["reason"] == "requires scope 'read write', and the token has 'read'"


@pytest.mark.parametrize("values", DUPLICATES.values(), ids=DUPLICATES)
def test_two_authorization_headers_are_400(adapter, guarded, values):
    """Two Authorization headers are a bad request, in either order (RFC 6750 3.1)."""
    headers = [("Authorization", value.format(bound())) for value in values]
    reply = adapter.call(guarded, headers=headers)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
    assert 'error="invalid_request"' in challenge_of(reply)
    assert reply.header("Cache-Control") == "no-store"


def test_cannot_tell_is_503(adapter, log):
    """A request that cannot be judged is 503, never a pass and never a challenge; the log says why."""
    before = counts()
    reply = adapter.call(adapter.make(verifier=Absent()), bound(), path="/open")
    assert (reply.status, reply.json()["error"]) == (503, "temporarily_unavailable")
    assert (reply.header("Retry-After"), reply.header("Cache-Control")) == ("5", "no-store")
    assert reply.header("WWW-Authenticate") is None
    errors = [record for record in log.records if record.levelname == "ERROR"]
    assert [
        ("GET '/open'" in one.getMessage(), "10.0.0.1" in one.getMessage(), "\n" in one.getMessage())
        for one in errors
        if one.name.startswith("macaroon_cbat")
    ] == [(True, True, False)]
    assert difference(before) == {("unavailable_total", "Unavailable"): 1}


def test_a_defect_is_no_pass(adapter):
    """Any other error of a verifier never runs the view: 500, or the error itself for the server."""
    try:
        status = adapter.call(adapter.make(verifier=Broken()), bound()).status
    except ZeroDivisionError:
        status = 500
    assert status == 500


def test_unbound_tokens_pass_where_that_is_written_down(adapter):
    """With require_certificate=False an unbound token passes, and the metadata say so."""
    app = adapter.make(require_certificate=False)
    assert adapter.call(app, token(), certificate=None).status == 200
    assert adapter.call(app, bound(), certificate=THIEF).status == 401
    document = adapter.call(app, path=WELL_KNOWN).json()
    assert document["tls_client_certificate_bound_access_tokens"] is False


def test_the_metadata_say_what_is_enforced(adapter, guarded):
    """The document, which any client may read, names what is really enforced (RFC 9728 2)."""
    reply = adapter.call(guarded, path=WELL_KNOWN, certificate=None)
    assert reply.status == 200
    assert reply.json() == {
        "resource": API,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["read", "root", "write"],
        "bearer_methods_supported": ["header"],
        "tls_client_certificate_bound_access_tokens": True,
    }


def test_the_document_lives_where_rfc_9728_says(adapter):
    """The well-known path stands before the audience's own, and the challenge points there (RFC 9728 3.1)."""
    app = adapter.make(keys=audience_keys(ISSUER, API + "/v1", [ROOT]))
    assert adapter.call(app, path=WELL_KNOWN + "/v1").json()["resource"] == API + "/v1"
    assert f'resource_metadata="{METADATA}/v1"' in challenge_of(adapter.call(app))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_guarded(adapter, guarded, method):
    """The guard stands before the view whatever the method, HEAD and OPTIONS included."""
    assert adapter.call(guarded, bound(), method=method).status == 200
    reply = adapter.call(guarded, method=method)
    assert reply.status == 401
    assert challenge_of(reply)
    assert reply.header("Content-Length") not in (None, "0")


@pytest.mark.parametrize("certificate", [CERTIFICATE, THIEF], ids=["the holder's", "another's"])
def test_who_is_refused_and_why(adapter, guarded, log, certificate):
    """The audit line names token, client, connection and address alike in every adapter."""
    text = bound(scope="read") if certificate is CERTIFICATE else bound()
    assert adapter.call(guarded, text, path="/root", certificate=certificate).status in (401, 403)
    line = line_of(log)
    assert (line["event"], line["who"], line["address"]) == ("admission.refused", "billing", ADDRESS)
    assert line["token_id"] == read_identifier(read_macaroon(text).identifier).jti
    assert line["certificate"] == thumbprint_of(DerCertificate(certificate))


def test_who_may_pass_counts_once_and_leaves_no_line(adapter, guarded, log):
    """An admitted request is one count and no audit line."""
    before = counts()
    assert adapter.call(guarded, bound()).status == 200
    assert difference(before) == {("verified_total", "yes", "no"): 1}
    assert [record for record in log.records if record.name.startswith("macaroon_cbat")] == []
