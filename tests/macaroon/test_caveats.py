import pytest

from macaroon_cbat.macaroon.caveats import (
    Audience,
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
from tests.support.caveat_values import ACCEPTED, HOST, PROHIBITED
from tests.support.tokens import API, BOUND, OTHER_API, access

UNKNOWN_FACTS = {
    "aud": (Audience(API), "audience"),
    "cnf": (BOUND, "certificate"),
    "htm": (Method("GET"), "method"),
    "htu": (TargetUri(f"{HOST}/"), "target"),
    "path": (PathPrefix("/"), "target"),
    "ip": (ClientAddress("0.0.0.0/0"), "address"),
}


@pytest.mark.parametrize(("caveat", "facts"), ACCEPTED.values(), ids=ACCEPTED)
def test_an_access_within_the_caveat_is_not_prohibited(caveat, facts):
    """A caveat does not prohibit an access that lies within it."""
    assert caveat.prohibits(access(**facts)) is None


@pytest.mark.parametrize(("caveat", "facts"), PROHIBITED.values(), ids=PROHIBITED)
def test_an_access_outside_the_caveat_is_prohibited(caveat, facts):
    """A caveat prohibits an access that lies outside it, and says why in one line."""
    reason = caveat.prohibits(access(**facts))
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(("caveat", "fact"), UNKNOWN_FACTS.values(), ids=UNKNOWN_FACTS)
def test_an_unknown_fact_is_prohibited(caveat, fact):
    """A caveat about an unknown fact prohibits the access: unknown means no."""
    assert caveat.prohibits(access(**{fact: None}))


@pytest.mark.parametrize(
    ("caveat", "text"),
    [
        (Scope("read write"), b'{"scope":"read write"}'),
        (Expiry(1767225600), b'{"exp":1767225600}'),
        (NotBefore(0), b'{"nbf":0}'),
        (Audience(API), b'{"aud":"https://api.example"}'),
        (Audience((API, OTHER_API)), b'{"aud":["https://api.example","https://other.example"]}'),
        (confirmation("A" * 43), b'{"cnf":{"x5t#S256":"' + b"A" * 43 + b'"}}'),
        (key_confirmation("A" * 43), b'{"cnf":{"jkt":"' + b"A" * 43 + b'"}}'),
        (Method("GET"), b'{"htm":"GET"}'),
        (Method(("GET", "HEAD")), b'{"htm":["GET","HEAD"]}'),
        (TargetUri("https://api.example/a"), b'{"htu":"https://api.example/a"}'),
        (PathPrefix("/é"), '{"path":"/é"}'.encode()),
        (ClientAddress("10.0.0.0/8"), b'{"ip":"10.0.0.0/8"}'),
        (ClientAddress(("10.0.0.0/8", "::1")), b'{"ip":["10.0.0.0/8","::1"]}'),
    ],
)
def test_a_caveat_has_one_text(caveat, text):
    """Each caveat is written as compact JSON with one member."""
    assert caveat_text(caveat) == text
