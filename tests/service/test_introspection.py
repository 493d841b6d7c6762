"""The answer to a resource server about a token that is good for it (RFC 7662 2.2, RFC 8705 3.2)."""

import pytest
from msgspec import UNSET

from macaroon_cbat.macaroon.caveats import (
    Audience,
    ClientAddress,
    Confirmation,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    confirmation,
)
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.databases import NOW
from tests.support.service import (
    API,
    ISSUER,
    OTHER_API,
    SECRETS,
    client_metadata,
    grant_of,
    refused,
)
from tests.support.tokens import appended

INACTIVE = {"active": False}
OF_THE_REQUEST = [
    pytest.param(Method("GET"), id="htm"),
    pytest.param(TargetUri("https://api.example/a"), id="htu"),
    pytest.param(PathPrefix("/a"), id="path"),
    pytest.param(ClientAddress("10.0.0.0/8"), id="ip"),
]


def test_an_active_token_is_described(service):
    """An active token is described by the claims of RFC 7662, and nothing else."""
    token = service.token(scope="write read")
    assert service.introspect(token) == {
        "active": True,
        "aud": API,
        "client_id": "billing",
        "exp": NOW + 600,
        "iat": NOW,
        "iss": ISSUER,
        "jti": grant_of(token).jti,
        "scope": "read write",
        "sub": "billing",
        "token_type": "Bearer",
    }


def test_no_cache_may_store_the_answer(service):
    """The answer is JSON that no cache may store."""
    answer = service.post("/oauth2/introspect", {"token": service.token()}, "api")
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_the_hint_changes_nothing(service, hint):
    """A hint is a hint: the answer is the same with a wrong one (RFC 7662 2.1)."""
    answer = service.post("/oauth2/introspect", {"token": service.token(), "token_type_hint": hint}, "api")
    assert answer.json["active"] is True


def test_the_confirmation_is_a_claim(service, certificate):
    """The certificate that a token is bound to is the top-level member cnf (RFC 8705 3.2)."""
    token = attenuate(service.token(), [confirmation(certificate.thumbprint)])
    assert service.introspect(token, "comparing-api")["cnf"] == {"x5t#S256": certificate.thumbprint}
    again = attenuate(token, [confirmation(certificate.thumbprint)])
    assert service.introspect(again, "comparing-api")["cnf"] == {"x5t#S256": certificate.thumbprint}


def test_two_certificates_are_none(service, certificate, other_certificate):
    """A token that is bound to two certificates is good for no connection: inactive."""
    token = attenuate(service.token(), [confirmation(certificate.thumbprint)])
    stolen = attenuate(token, [confirmation(other_certificate.thumbprint)])
    assert service.introspect(stolen) == INACTIVE
    assert service.introspect(stolen, "comparing-api") == INACTIVE


@pytest.mark.parametrize(
    ("caveats", "scope", "lifetime"),
    [
        pytest.param([Scope("read")], "read", 600, id="the scope"),
        pytest.param([Scope("read write"), Scope("write audit")], "write", 600, id="the scope, twice"),
        pytest.param([Scope("read unknown")], "read", 600, id="the scope, never widened"),
        pytest.param([Expiry(NOW + 60)], "audit read write", 60, id="the lifetime"),
        pytest.param([Expiry(NOW + 60), Expiry(NOW + 90)], "audit read write", 60, id="the shortest one"),
        pytest.param([Expiry(NOW + 9000)], "audit read write", 600, id="the lifetime, never widened"),
        pytest.param([NotBefore(NOW)], "audit read write", 600, id="nothing, when it may be used by now"),
        pytest.param([Audience(API)], "audit read write", 600, id="nothing, for its own audience"),
        pytest.param([Audience((OTHER_API, API))], "audit read write", 600, id="nothing, for two of which"),
    ],
)
@pytest.mark.parametrize("caller", ["api", "knowing-api"])
def test_caveats_narrow_the_claims(service, caller, caveats, scope, lifetime):
    """The claims say what is left of the grant when every caveat is taken into account."""
    claims = service.introspect(attenuate(service.token(), caveats), caller)
    assert (claims["scope"], claims["exp"]) == (scope, NOW + lifetime)


@pytest.mark.parametrize(
    "caveats",
    [
        pytest.param([Scope("unknown")], id="a scope that was never granted"),
        pytest.param([Scope("read"), Scope("write")], id="two scopes without a common one"),
        pytest.param([Expiry(NOW)], id="expired this second"),
        pytest.param([NotBefore(NOW + 1)], id="not valid before the next second"),
        pytest.param([Audience(OTHER_API)], id="for another audience"),
        pytest.param([Audience(API), Audience(OTHER_API)], id="for two audiences at once"),
        pytest.param([Audience(API + "//")], id="for an audience that only looks like it"),
    ],
)
@pytest.mark.parametrize("caller", ["api", "knowing-api"])
def test_caveats_that_leave_nothing_make_it_inactive(service, caller, caveats):
    """A token whose caveats leave nothing for this resource server is inactive."""
    assert service.introspect(attenuate(service.token(), caveats), caller) == INACTIVE


@pytest.mark.parametrize("caveat", OF_THE_REQUEST)
def test_a_caveat_without_a_judge_makes_it_inactive(service, caveat):
    """A caveat about the request makes the token inactive for who would not judge it."""
    token = attenuate(service.token(), [caveat])
    assert service.introspect(token, "api") == INACTIVE


@pytest.mark.parametrize("caveat", OF_THE_REQUEST)
def test_who_understands_caveats_gets_them_all(service, certificate, caveat):
    """A resource server that judges caveats itself gets every one of them, in their order."""
    caveats = [Scope("read"), caveat, confirmation(certificate.thumbprint), Expiry(NOW + 60)]
    named = {"client_certificate": certificate.thumbprint}
    claims = service.introspect(attenuate(service.token(), caveats), "knowing-api", **named)
    assert claims["active"] is True
    assert [list(one) for one in claims["caveats"]] == [
        ["scope"],
        list(claims["caveats"][1]),
        ["cnf"],
        ["exp"],
    ]
    assert claims["caveats"][1] == {caveat.__struct_fields__[0]: getattr(caveat, caveat.__struct_fields__[0])}
    assert claims["cnf"] == {"x5t#S256": certificate.thumbprint}
    assert claims["caveats"][2] == {"cnf": claims["cnf"]}
    assert claims["scope"] == "read"


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ('{{"htm": "GET", "exp": {}}}', [{"htm": "GET"}, {"exp": NOW + 60}]),
        ('{{\n  "exp" : {}.0,\n  "\\u0068tm" : "GET"\n}}\n', [{"exp": NOW + 60}, {"htm": "GET"}]),
    ],
    ids=["a set", "a set, spelled"],
)
def test_of_a_set_each_member_is_judged_by_who_can(service, written, kept):
    """Of a caveat of several members, the service judges its own, and names all of them one by one."""
    token = appended(service.token(), written.format(NOW + 60).encode())
    claims = service.introspect(token, "knowing-api")
    assert (claims["exp"], claims["caveats"]) == (NOW + 60, kept)
    assert service.introspect(token, "api") == INACTIVE
    service.now += 60
    assert service.introspect(token, "knowing-api") == INACTIVE


def test_a_set_hides_no_certificate(service, certificate, other_certificate):
    """A `cnf` beside a caveat about the request binds as one alone does."""
    cnf = f'{{"path": "/", "cnf": {{"x5t#S256": "{certificate.thumbprint}"}}}}'
    token = appended(service.token(), cnf.encode())
    assert service.introspect(token, "knowing-api") == INACTIVE
    asked = {"client_certificate": other_certificate.thumbprint}
    assert service.introspect(token, "knowing-api", **asked) == INACTIVE
    asked = {"client_certificate": certificate.thumbprint}
    assert service.introspect(token, "knowing-api", **asked)["cnf"] == {"x5t#S256": certificate.thumbprint}


def test_who_understands_caveats_is_told_that_there_are_none(service):
    """A token without caveats has an empty list of them, not a missing one."""
    assert service.introspect(service.token(), "knowing-api")["caveats"] == []
    assert "caveats" not in service.introspect(service.token(), "api")


def test_a_token_is_active_for_its_audience_only(service):
    """A resource server of another audience learns nothing of a token."""
    token = service.token("reporting", resource=OTHER_API)
    assert service.introspect(token, "other-api")["aud"] == OTHER_API
    assert service.introspect(token, "api") == INACTIVE
    assert service.introspect(token, "reporting")["active"] is True
    assert service.introspect(service.token(), "other-api") == INACTIVE


def test_a_token_of_several_audiences_is_keyed_for_the_issuer(service):
    """A token for several audiences is active for each of them, and for no other."""
    token = service.minted(aud=(API, OTHER_API))
    for caller in ("api", "other-api"):
        assert service.introspect(token, caller)["aud"] == [API, OTHER_API]
    service.stores.clients.add(
        "stranger", client_metadata(audiences=("https://c",)), secret="s" * 22, now=NOW
    )
    answer = service.post(
        "/oauth2/introspect", {"token": token, "client_id": "stranger", "client_secret": "s" * 22}
    )
    assert answer.json == INACTIVE


def test_a_caveat_names_the_audience_of_a_token_without_one(service):
    """A token of the issuer itself becomes one of an audience by a caveat."""
    token = service.minted(aud=UNSET)
    assert "aud" not in service.introspect(token)
    narrowed = attenuate(token, [Audience(API)])
    assert service.introspect(narrowed)["active"] is True
    assert service.introspect(narrowed, "other-api") == INACTIVE


def test_who_asks_must_be_a_client(service, certificate):
    """Only a client learns anything of a token (RFC 7662 2.1)."""
    token = service.token()
    refused(service.post("/oauth2/introspect", {"token": token}), 401, "invalid_client")
    wrong = {"token": token, "client_id": "api", "client_secret": SECRETS["billing"]}
    refused(service.post("/oauth2/introspect", wrong), 401, "invalid_client")
    refused(service.post("/oauth2/introspect", {"token": token}, None, certificate), 401, "invalid_client")


def test_a_public_client_learns_nothing(service, certificate):
    """A public client, which is a caller with any certificate, introspects nothing (RFC 7662 2.1)."""
    metadata = client_metadata(
        token_endpoint_auth_method="none", tls_client_certificate_bound_access_tokens=True
    )
    service.stores.clients.add("public", metadata, secret=None, now=NOW)
    form = {"token": service.token(), "client_id": "public"}
    answer = service.post("/oauth2/introspect", form, None, certificate)
    refused(answer, 401, "invalid_client")


def test_a_bound_answer_names_the_first_certificate_only_when_all_agree(service, certificate):
    """A claim cnf means that every confirmation of the token agrees with it."""
    one = confirmation(certificate.thumbprint)
    assert isinstance(one, Confirmation)
    claims = service.introspect(attenuate(service.token(), [one, Scope("read"), one]), "comparing-api")
    assert claims["cnf"] == {"x5t#S256": one.cnf.thumbprint}
