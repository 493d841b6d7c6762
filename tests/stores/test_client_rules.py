"""The rules that join the members of a client's metadata, and what a change of each takes away."""

import msgspec
import pytest

from macaroon_cbat.errors import InvalidClientMetadata, InvalidRedirectUri
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.client_changes import takes_away
from macaroon_cbat.stores.clients import metadata_from
from tests.support.certificates import certified
from tests.support.json_web_keys import jwk_of

CALLBACK, OTHER = "https://app.example/callback", "https://app.example/other"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
EXCHANGE, BEARER = (f"urn:ietf:params:oauth:grant-type:{name}" for name in ("token-exchange", "jwt-bearer"))
BOUND = {"tls_client_certificate_bound_access_tokens": True}
PUBLIC = {"token_endpoint_auth_method": "none"} | BOUND
CODE = {"grant_types": ["authorization_code"], "redirect_uris": [CALLBACK]}
REFRESH = CODE | {"grant_types": ["authorization_code", "refresh_token"]}
JWK, OTHER_JWK = jwk_of(certified("CN=one")), jwk_of(certified("CN=other"))
BY_KEY = {"token_endpoint_auth_method": "private_key_jwt"}
SELF_SIGNED = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
URI = {"jwks_uri": "https://client.example/jwks"}


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(CODE, id="a web application"),
        pytest.param(REFRESH | {"refresh_idle_seconds": 60, "refresh_max_seconds": 60}, id="with refresh"),
        pytest.param(CODE | {"require_pushed_authorization_requests": True}, id="with pushed requests"),
        pytest.param({"grant_types": ["client_credentials", EXCHANGE]}, id="a service"),
        pytest.param({"grant_types": [BEARER, "refresh_token"]}, id="a workload"),
        pytest.param({"grant_types": []}, id="no grant"),
        pytest.param(PUBLIC | REFRESH, id="a public application"),
        pytest.param(PUBLIC | {"grant_types": [DEVICE, "refresh_token"]}, id="a public device"),
        pytest.param(
            {"token_endpoint_auth_method": "none", "dpop_bound_access_tokens": True} | CODE, id="by DPoP"
        ),
        pytest.param(PUBLIC | {"dpop_bound_access_tokens": True}, id="public, bound twice"),
        pytest.param(
            {"client_name": "R\u00e4ksm\u00f6rg\u00e5s \u65e5\u672c \u0627\u0644"}, id="a name of any script"
        ),
        pytest.param(BY_KEY | {"jwks": {"keys": [JWK]}}, id="a key"),
        pytest.param(BY_KEY | URI, id="a URL of keys"),
        pytest.param(BY_KEY, id="keys of a trusted issuer alone"),
        pytest.param(SELF_SIGNED | {"jwks": {"keys": [JWK, OTHER_JWK]}}, id="certificates in keys"),
        pytest.param(SELF_SIGNED | URI, id="certificates behind a URL"),
    ],
)
def test_honest_metadata_survives_storage(members):
    """Metadata that fit together are taken, and are the same when they are read from the database."""
    metadata = metadata_from({"scope": "read"} | members)
    assert msgspec.json.decode(msgspec.json.encode(metadata), type=ClientMetadata) == metadata


MIXED = {
    "a code without a redirect": ({"grant_types": ["authorization_code"]}, "needs redirect URIs"),
    "a redirect without a code": ({"redirect_uris": [CALLBACK]}, "needs redirect URIs"),
    "a redirect twice": (CODE | {"redirect_uris": [CALLBACK, CALLBACK]}, "twice"),
    "many redirects": (CODE | {"redirect_uris": [f"{CALLBACK}{n}" for n in range(21)]}, "20 redirect"),
    "a grant twice": ({"grant_types": [DEVICE, DEVICE]}, "twice"),
    "a name with a line end": ({"may_act": ["billing\n"]}, "may_act"),
    "a refresh alone": ({"grant_types": ["refresh_token"]}, "gives refresh tokens"),
    "a refresh by its own credentials": (
        {"grant_types": ["client_credentials", "refresh_token"]},
        "gives refresh tokens",
    ),
    "an unknown grant": ({"grant_types": ["password"]}, "grant_types"),
    "a pushed request without a code": ({"require_pushed_authorization_requests": True}, "goes with auth"),
    "a public client, unbound": ({"token_endpoint_auth_method": "none"} | CODE, "DPoP-bound"),
    "a public client by its own credentials": (
        PUBLIC | {"grant_types": ["client_credentials"]},
        "cannot use client_credentials",
    ),
    "a public client, and more": (
        PUBLIC | REFRESH | {"grant_types": ["authorization_code", "client_credentials"]},
        "cannot use client_credentials",
    ),
    "a public client that exchanges": (PUBLIC | {"grant_types": [EXCHANGE]}, "cannot use urn"),
    "a public client with a JWT": (PUBLIC | {"grant_types": [BEARER]}, "cannot use urn"),
    "an empty name": ({"client_name": ""}, "client_name"),
    "a blank name": ({"client_name": " "}, "client_name"),
    "a name in spaces": ({"client_name": " Bank"}, "client_name"),
    "a long name": ({"client_name": "x" * 101}, "client_name"),
    "a name of two lines": ({"client_name": "Bank\nallowed"}, "client_name"),
    "a name with a line separator": ({"client_name": "Bank\u2028allowed"}, "client_name"),
    "a name turned round": ({"client_name": "Bank\u202egnp"}, "client_name"),
    "a name with an invisible letter": ({"client_name": "Ba\u200bnk"}, "client_name"),
    "a name of a blank letter": ({"client_name": "\u3164"}, "client_name"),
    "a name with a blank sign": ({"client_name": "Bank\u2800"}, "client_name"),
    "a name with a mark that is not seen": ({"client_name": "Bank\ufe0f"}, "client_name"),
    "a name with a NUL": ({"client_name": "Bank\0"}, "client_name"),
    "an unassigned character": ({"client_name": "Bank\U000e0fff"}, "client_name"),
    "a name in tags": ({"client_name": "Bank\U000e0041"}, "client_name"),
    "a lifetime without refresh": (CODE | {"refresh_idle_seconds": 60}, "goes with the grant"),
    "no lifetime": (REFRESH | {"refresh_idle_seconds": 0}, "is not 1 to"),
    "a negative lifetime": (REFRESH | {"refresh_max_seconds": -1}, "is not 1 to"),
    "an endless lifetime": (REFRESH | {"refresh_max_seconds": 1 << 40}, "is not 1 to"),
    "a lifetime that is no number": (REFRESH | {"refresh_max_seconds": "60"}, "refresh_max_seconds"),
    "idle for longer than it lives": (
        REFRESH | {"refresh_idle_seconds": 61, "refresh_max_seconds": 60},
        "longer than",
    ),
    "keys twice": (BY_KEY | URI | {"jwks": {"keys": [JWK]}}, "exclude each other"),
    "keys beside a secret": ({"jwks": {"keys": [JWK]}}, "private_key_jwt and self_signed"),
    "a URL of keys beside a secret": (URI, "private_key_jwt and self_signed"),
    "keys of a public client": (PUBLIC | URI, "private_key_jwt and self_signed"),
    "self-signed without a certificate": (SELF_SIGNED, "needs the client's certificate"),
    "certificates from two sources": (
        SELF_SIGNED | {"jwks": {"keys": [JWK]}, "certificates": ["A" * 43]},
        "exclude each other",
    ),
    "certificates for a key": (BY_KEY | {"certificates": ["A" * 43]}, "needs the client's certificate"),
    "a certificate twice": (SELF_SIGNED | {"certificates": ["A" * 43, "A" * 43]}, "twice"),
    "a type of details twice": ({"authorization_details_types": ["payment", "payment"]}, "twice"),
}


@pytest.mark.parametrize(("members", "reason"), MIXED.values(), ids=MIXED)
def test_what_does_not_fit_together_is_refused(members, reason):
    """Members that contradict each other, or would be weaker than they look, are refused in one line."""
    with pytest.raises(InvalidClientMetadata, match=reason) as refused:
        metadata_from({"scope": "read"} | members)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example/callback",
        "https://app.example/callback#x",
        "https://user@app.example/callback",
        "https://*.example/callback",
        "https://app.example\\@evil.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "callback",
        "",
        "https://app.example/\n",
    ],
)
def test_a_redirect_uri_that_no_client_may_have_is_refused(uri):
    """A redirect URI that could lead elsewhere is invalid_redirect_uri (RFC 7591 3.2.2)."""
    with pytest.raises(InvalidRedirectUri, match="redirect URI"):
        metadata_from({"scope": "read"} | CODE | {"redirect_uris": [uri]})


CHANGES = {
    "a grant": (CODE, REFRESH),
    "a redirect": (CODE, CODE | {"redirect_uris": [CALLBACK, OTHER]}),
    "a key": (BY_KEY | {"jwks": {"keys": [JWK]}}, BY_KEY | {"jwks": {"keys": [JWK, OTHER_JWK]}}),
    "a longer idle time": (REFRESH | {"refresh_idle_seconds": 5}, REFRESH | {"refresh_idle_seconds": 6}),
    "the service's own idle time": (REFRESH | {"refresh_idle_seconds": 5}, REFRESH),
    "a longer life": (REFRESH | {"refresh_max_seconds": 5}, REFRESH | {"refresh_max_seconds": 6}),
    "requests that are not pushed": (CODE | {"require_pushed_authorization_requests": True}, CODE),
    "a type of details": ({}, {"authorization_details_types": ["payment"]}),
}


@pytest.mark.parametrize(("fewer", "more"), CHANGES.values(), ids=CHANGES)
def test_a_right_more_takes_nothing_away_and_a_right_less_does(fewer, more):
    """A change that only adds rights revokes no token; its reverse revokes all."""
    one, other = (metadata_from({"scope": "read"} | members) for members in (fewer, more))
    assert not takes_away(one, other)
    assert takes_away(other, one)


BOTH_WAYS = {
    "binding to a certificate": ({}, BOUND),
    "binding to a key": ({}, {"dpop_bound_access_tokens": True}),
    "another key": (BY_KEY | {"jwks": {"keys": [JWK]}}, BY_KEY | {"jwks": {"keys": [OTHER_JWK]}}),
    "another place of keys": (BY_KEY | URI, BY_KEY | {"jwks_uri": "https://other.example/jwks"}),
    "keys of its own": (BY_KEY | URI, BY_KEY | {"jwks": {"keys": [JWK]}}),
    "another redirect": (CODE, CODE | {"redirect_uris": [OTHER]}),
}


@pytest.mark.parametrize(("before", "after"), BOTH_WAYS.values(), ids=BOTH_WAYS)
def test_another_proof_takes_away(before, after):
    """A change of how a client is proved or bound revokes its tokens, in either direction."""
    one, other = (metadata_from({"scope": "read"} | members) for members in (before, after))
    assert takes_away(one, other)
    assert takes_away(other, one)


def test_a_name_is_no_right():
    """A client that is renamed keeps its tokens."""
    one, other = (
        metadata_from({"scope": "read"} | ({"client_name": name} if name else {})) for name in ("A", None)
    )
    assert not takes_away(one, other)
    assert not takes_away(other, one)


@pytest.mark.parametrize(
    ("stored", "grants"),
    [
        (
            '{"token_endpoint_auth_method":"none","scope":"read","tls_client_certificate_bound_access_tokens":true}',
            (),
        ),
        ('{"scope":"read"}', ("client_credentials",)),
    ],
    ids=["a public client", "a confidential client"],
)
def test_a_client_of_an_older_database_keeps_its_rights_and_gains_none(stored, grants):
    """A client registered before there were grant types has client_credentials, a public one none."""
    assert msgspec.json.decode(stored, type=ClientMetadata).allowed_grants == grants
