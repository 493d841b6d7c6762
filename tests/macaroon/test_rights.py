"""The effective rights of a token, and what is said of caveats that leave none or restrict nothing."""

import pytest
from hypothesis import given

from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.caveats import (
    Audience,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
)
from macaroon_cbat.macaroon.inspection import assessed, attenuation_warnings, inspected
from macaroon_cbat.macaroon.minting import add_third_party_caveat, mint
from macaroon_cbat.macaroon.rights import Rights, granted, narrow
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.strategies import accesses, few_caveats, grants
from tests.support.tokens import (
    API,
    BOUND,
    CERTIFICATE,
    GRANT,
    ISSUER,
    KEY,
    KEYS,
    NOW,
    OTHER_API,
    OTHER_CERTIFICATE,
    signed,
    token,
)

HOST = "https://api.example"
LEFT = {
    "scope": ([Scope("read root"), Scope("write read")], {"scope": "read"}),
    "audience": ([Audience((OTHER_API, API))], {"aud": [API]}),
    "expiry": ([Expiry(NOW + 60), Expiry(NOW + 50), Expiry(NOW + 60)], {"exp": NOW + 50}),
    "begin": ([NotBefore(NOW + 5), NotBefore(NOW)], {"nbf": NOW + 5}),
    "method": ([Method(("GET", "get", "PUT")), Method(("PUT", "HEAD"))], {"htm": ["PUT"]}),
    "target": ([TargetUri(f"{HOST}/a"), TargetUri("HTTPS://API.example:443/%61")], {"htu": f"{HOST}/a"}),
    "path": ([PathPrefix("/a"), PathPrefix("/a/b"), PathPrefix("/")], {"path": "/a/b"}),
    "path with a slash": ([PathPrefix("/a/"), PathPrefix("/a")], {"path": "/a/"}),
    "path and target": (
        [PathPrefix("/a"), TargetUri(f"{HOST}/a/b")],
        {"path": "/a", "htu": f"{HOST}/a/b"},
    ),
    "networks": (
        [ClientAddress(("10.0.0.0/8", "::/0")), ClientAddress(("10.1.0.0/16", "192.0.2.7", "::1"))],
        {"ip": ["10.1.0.0/16", "::1"]},
    ),
    "certificate": ([BOUND, BOUND], {"cnf": {"x5t#S256": CERTIFICATE}}),
}
FROM_GRANT = {"scope": "admin read write", "aud": [API], "exp": GRANT.exp}


@pytest.mark.parametrize(("caveats", "members"), LEFT.values(), ids=LEFT)
def test_what_is_left_is_shown(caveats, members):
    """The rights that all caveats leave of the grant, and no others, are shown in the members of caveats."""
    found = inspected(read_macaroon(token(*caveats)), NOW)
    assert found["effective"] == FROM_GRANT | members


FATAL = {
    "scope": ([Scope("root")], "scope 'root' is outside of what is left, 'admin read write'"),
    "scope after another": (
        [Scope("read"), Scope("write")],
        "scope 'write' is outside of what is left, 'read'",
    ),
    "audience": ([Audience(OTHER_API)], f"aud '{OTHER_API}' is not what the token is for, '{API}'"),
    "audience after another": (
        [Audience((API,)), Audience("x"), Audience("y")],
        f"aud 'x' is not what the token is for, '{API}'",
    ),
    "small letters": ([Method("get")], "htm 'get' matches no request: write methods in capital letters"),
    "small letters after others": ([Method("GET"), Method("get")], "capital letters"),
    "method": ([Method("GET"), Method(("PUT", "POST"))], "htm ('PUT', 'POST') is none of 'GET'"),
    "expired": ([Expiry(NOW - 5)], f"exp {NOW - 5} is 5 s ago: the token has expired"),
    "expired now": ([Expiry(NOW)], "is 0 s ago"),
    "never valid": ([NotBefore(NOW + 60), Expiry(NOW + 60)], f"nbf {NOW + 60} is not before exp {NOW + 60}"),
    "never valid, the other way": ([Expiry(NOW + 60), NotBefore(NOW + 61)], "so the token is never valid"),
    "begins after the grant": ([NotBefore(GRANT.exp)], f"is not before exp {GRANT.exp}"),
    "begins in milliseconds": ([NotBefore(NOW * 1000)], "looks like milliseconds, write seconds"),
    "target": ([TargetUri(f"{HOST}/a"), TargetUri(f"{HOST}/b")], "is another target than"),
    "path": ([PathPrefix("/a"), PathPrefix("/ab")], "path '/ab' is not within '/a'"),
    "target outside of a path": ([PathPrefix("/a"), TargetUri(f"{HOST}/b")], "is not below path '/a'"),
    "path beside a target": ([TargetUri(f"{HOST}/b"), PathPrefix("/a")], "is not below path '/a'"),
    "network": (
        [ClientAddress("10.0.0.0/8"), ClientAddress("192.0.2.0/24")],
        "ip '192.0.2.0/24' is outside of '10.0.0.0/8'",
    ),
    "network of the other version": ([ClientAddress("0.0.0.0/0"), ClientAddress("::/0")], "is outside of"),
    "network that is mapped": ([ClientAddress("::ffff:192.0.2.0/120")], "write IPv4 networks as IPv4"),
    "certificate": ([BOUND, confirmation(OTHER_CERTIFICATE)], f"is another certificate than {CERTIFICATE}"),
}


@pytest.mark.parametrize(("caveats", "text"), FATAL.values(), ids=FATAL)
def test_a_caveat_that_leaves_nothing_is_named(caveats, text):
    """A caveat after which no request could use the token is named once, and nothing is effective."""
    found = inspected(read_macaroon(token(*caveats)), NOW)
    assert found["effective"] is None
    [warning] = found["warnings"]
    assert text in warning
    warnings = attenuation_warnings(read_macaroon(token()), caveats, NOW)
    assert [one.endswith("; no request can use this token") for one in warnings] == [True]
    assert text in warnings[0]


IDLE = {
    "later than granted": (Expiry(GRANT.exp + 1), f"exp {GRANT.exp + 1} is later than {GRANT.exp}"),
    "milliseconds": (Expiry(NOW * 1000), "restricts nothing: it looks like milliseconds, write seconds"),
}


@pytest.mark.parametrize(("caveat", "text"), IDLE.values(), ids=IDLE)
def test_an_expiry_that_restricts_nothing_is_named(caveat, text):
    """An `exp` beyond the token's own is named, and the token stays as good as it was."""
    found = inspected(read_macaroon(token(caveat)), NOW)
    assert found["effective"] == FROM_GRANT
    [warning] = found["warnings"]
    assert text in warning
    [warning] = attenuation_warnings(read_macaroon(token()), [caveat], NOW)
    assert text in warning
    assert "no request" not in warning


def test_milliseconds_are_named_where_nothing_is_known_of_the_token():
    """Of a foreign token that says no expiry, an `exp` in milliseconds restricts nothing either."""
    foreign = read_macaroon(signed(identifier=b"theirs"))
    [warning] = attenuation_warnings(foreign, [Expiry(NOW * 1000)], NOW)
    assert "looks like milliseconds" in warning
    assert inspected(foreign, NOW)["effective"] == {}


def test_an_honest_attenuation_is_silent():
    """Caveats that restrict, and leave something, call for no word; nor do those that a token has already."""
    caveats = [
        BOUND,
        Expiry(NOW + 60),
        Expiry(NOW + 60),
        Audience(API),
        Scope("read"),
        Method("GET"),
        NotBefore(0),
    ]
    assert attenuation_warnings(read_macaroon(token()), caveats, NOW) == []
    assert inspected(read_macaroon(token(*caveats)), NOW)["warnings"] == []


def test_only_what_is_appended_is_spoken_of():
    """Attenuating a token that is of no use already says nothing of the caveats that made it so."""
    dead = read_macaroon(signed(b"nonsense", b'{"scope":"root"}', b'{"htm":"get"}'))
    assert attenuation_warnings(dead, [Scope("read"), Method("GET"), BOUND], NOW) == []


def test_refused_caveats_and_missing_discharges_are_marked():
    """A caveat that every verifier refuses is marked, a custom one and a missing discharge are named."""
    text = add_third_party_caveat(
        signed(b'{"exp": 1,}', b'{"role":"x"}'), "https://idp.example", b"k" * 32, b"x"
    )
    found = inspected(read_macaroon(text), NOW)
    assert [caveat.get("refused") for caveat in found["caveats"]] == [
        "malformed caveat '{\"exp\": 1,}': it has a trailing comma",
        None,
        None,
    ]
    assert found["caveats"][1]["custom"] == ["role"]
    assert found["warnings"] == [
        "caveat 1 is refused: malformed caveat '{\"exp\": 1,}': it has a trailing comma",
        "caveat 2: 'role' is a custom caveat: only a resource server that judges it accepts the token",
        "caveat 3 needs a discharge from 'https://idp.example'",
    ]
    assert found["effective"] is None


def test_an_expired_grant_leaves_nothing():
    """A token whose own lifetime has ended says so."""
    found = inspected(read_macaroon(token()), GRANT.exp + 7)
    assert (found["effective"], found["warnings"]) == (None, ["the token expired 7 s ago: get a new one"])


def test_lists_of_hundreds_cost_little():
    """Lists too long to compare are left as they are: any caller can ask the service to inspect them."""
    many = ClientAddress(tuple(f"10.0.{n}.0/24" for n in range(100)))
    rights, remarks = narrow(granted(GRANT), [many, ClientAddress(many.ip[::-1])], NOW)
    assert (rights.ip, remarks) == (many.ip, [])
    names = tuple(f"https://{n}.example" for n in range(100))
    rights, remarks = narrow(Rights(), [Audience(names), Audience(names[::-1])], NOW)
    assert (rights.aud, remarks) == (names, [])


@given(grants, few_caveats, accesses)
def test_what_is_accepted_is_within_what_is_shown(grant, caveats, access):
    """A request that a verifier accepts is within the effective rights: nothing alive is called dead."""
    text = mint(KEY, ISSUER, grant, caveats)
    try:
        principal = verify(text, KEYS, access, require_certificate=False)
    except InvalidToken:
        return
    found = assessed(read_macaroon(text), access.now)
    assert not found.is_dead
    assert principal.scope == found.rights.scope
    assert principal.expires_at == found.rights.exp
    assert principal.audience in found.rights.aud
    assert found.rights.cnf in (None, access.certificate)
    assert found.rights.htm is None or access.method in found.rights.htm
