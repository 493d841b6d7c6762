import pytest

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.stores.clients import metadata_from
from macaroon_cbat.stores.spiffe_ids import SpiffeId, parse_spiffe_id, parse_spiffe_pattern

BY_ID = {"token_endpoint_auth_method": "tls_client_auth", "scope": "read"}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        pytest.param("spiffe://prod.example/billing", ("prod.example", "/billing"), id="a workload"),
        pytest.param("spiffe://prod.example", ("prod.example", ""), id="a trust domain"),
        pytest.param("spiffe://a_b-c.9/ns/X/sa/y.z_1-2", ("a_b-c.9", "/ns/X/sa/y.z_1-2"), id="every letter"),
        pytest.param("spiffe://10.0.0.1/x", ("10.0.0.1", "/x"), id="an address"),
        pytest.param("spiffe://a/...", ("a", "/..."), id="three dots"),
    ],
)
def test_an_id_is_read(text, parts):
    """A SPIFFE ID is a trust domain and a path, and is written as it was read."""
    assert parse_spiffe_id(text) == SpiffeId(*parts)
    assert str(SpiffeId(*parts)) == text


MALFORMED = {
    "another scheme": "https://prod.example/billing",
    "an upper-case scheme": "SPIFFE://prod.example/billing",
    "no scheme": "prod.example/billing",
    "no trust domain": "spiffe:///billing",
    "an upper-case trust domain": "spiffe://Prod.example/billing",
    "a port": "spiffe://prod.example:8443/billing",
    "user information": "spiffe://a@prod.example/billing",
    "an encoded trust domain": "spiffe://prod%2eexample/billing",
    "another script": "spiffe://pr\u043ed.example/billing",
    "a trailing slash": "spiffe://prod.example/billing/",
    "a lone slash": "spiffe://prod.example/",
    "an empty segment": "spiffe://prod.example/a//b",
    "a dot": "spiffe://prod.example/a/./b",
    "two dots": "spiffe://prod.example/ns/billing/../admin",
    "two dots at the end": "spiffe://prod.example/ns/billing/..",
    "encoded dots": "spiffe://prod.example/ns/billing/%2e%2e/admin",
    "a query": "spiffe://prod.example/billing?x",
    "a fragment": "spiffe://prod.example/billing#x",
    "a backslash": "spiffe://prod.example/ns\\billing",
    "a line end": "spiffe://prod.example/billing\n",
    "a NUL": "spiffe://prod.example/billing\0",
    "a blank": "spiffe://prod.example/a b",
    "too long a trust domain": f"spiffe://{'a' * 256}/billing",
    "too long": f"spiffe://prod.example/{'a' * 2048}",
    "empty": "",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_another_spelling_is_no_id(text):
    """One ID has one spelling: what a URI parser would repair is malformed."""
    with pytest.raises(ValueError, match="SPIFFE ID"):
        parse_spiffe_id(text)


MALFORMED_PATTERNS = MALFORMED | {
    "a trust domain alone": "spiffe://prod.example",
    "a star within": "spiffe://prod.example/ns/*/sa/billing",
    "a star beside letters": "spiffe://prod.example/ns/bill*",
    "two stars": "spiffe://prod.example/ns/**",
    "two starred segments": "spiffe://prod.example/*/*",
    "a star for the trust domain": "spiffe://*/billing",
    "a star in the trust domain": "spiffe://*.example/billing",
    "a star alone": "*",
}


@pytest.mark.parametrize("text", MALFORMED_PATTERNS.values(), ids=MALFORMED_PATTERNS)
def test_another_pattern_is_not_registered(text):
    """A client is registered by one workload's ID, or by all below a path of one trust domain."""
    with pytest.raises(InvalidClientMetadata, match="SPIFFE ID"):
        metadata_from(BY_ID | {"tls_client_auth_spiffe_id": text})


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("spiffe://prod.example/billing", "spiffe://prod.example/billing"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/ns/billing/sa"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/ns/billing/sa/x"),
        ("spiffe://prod.example/*", "spiffe://prod.example/anything"),
    ],
)
def test_an_id_of_the_pattern_matches(pattern, found):
    """The ID itself is the client's, and with /* every one below."""
    assert metadata_from(BY_ID | {"tls_client_auth_spiffe_id": pattern})
    assert parse_spiffe_pattern(pattern).matches(parse_spiffe_id(found))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("spiffe://prod.example/billing", "spiffe://prod.example/Billing"),
        ("spiffe://prod.example/billing", "spiffe://prod.example/billing/x"),
        ("spiffe://prod.example/billing", "spiffe://prod.example"),
        ("spiffe://prod.example/billing", "spiffe://stage.example/billing"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/ns/billing"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/ns/billing2/x"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/ns"),
        ("spiffe://prod.example/ns/billing/*", "spiffe://prod.example/x/ns/billing/x"),
        ("spiffe://prod.example/*", "spiffe://prod.example"),
        ("spiffe://prod.example/*", "spiffe://prod.example.evil/x"),
        ("spiffe://prod.example/*", "spiffe://a.prod.example/x"),
    ],
)
def test_an_id_outside_the_pattern_does_not_match(pattern, found):
    """A segment is compared as a whole, and so is the trust domain."""
    assert not parse_spiffe_pattern(pattern).matches(parse_spiffe_id(found))
