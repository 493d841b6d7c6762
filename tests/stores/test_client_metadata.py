import msgspec
import pytest

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.macaroon.audiences import audience_mistake
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.clients import metadata_from

THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"
SELF_SIGNED = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "certificates": (THUMBPRINT,)}
BY_CA = {"token_endpoint_auth_method": "tls_client_auth"}
PUBLIC = {"token_endpoint_auth_method": "none"}


def test_the_defaults_are_the_standards():
    """A client that says its scope only authenticates by client_secret_basic (RFC 7591 2)."""
    metadata = metadata_from({"scope": "read"})
    assert metadata == ClientMetadata(scope="read")
    assert metadata.token_endpoint_auth_method == "client_secret_basic"
    assert not metadata.tls_client_certificate_bound_access_tokens


@pytest.mark.parametrize(
    "members",
    [
        pytest.param({"token_endpoint_auth_method": "client_secret_post"}, id="a secret in the form"),
        pytest.param(SELF_SIGNED, id="its own certificate"),
        pytest.param(SELF_SIGNED | {"certificates": (THUMBPRINT, "B" * 42 + "A")}, id="two certificates"),
        pytest.param(BY_CA | {"tls_client_auth_subject_dn": "CN=a,O=Ex\\, Inc,C=DE"}, id="a subject"),
        pytest.param(BY_CA | {"tls_client_auth_san_dns": "client.example"}, id="a DNS name"),
        pytest.param(BY_CA | {"tls_client_auth_san_uri": "spiffe://example/a"}, id="a URI"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": "2001:db8::7"}, id="an IP address"),
        pytest.param(BY_CA | {"tls_client_auth_san_email": "a+b@example.org"}, id="an e-mail address"),
        pytest.param(PUBLIC | {"tls_client_certificate_bound_access_tokens": True}, id="public and bound"),
        pytest.param({"audiences": ("https://api.example/v1?x=1", "urn:x:y")}, id="URIs as audiences"),
        pytest.param({"serves": ("https://api.example",)}, id="a resource server that calls others"),
        pytest.param({"scope": None, "serves": ("https://api.example",)}, id="a resource server alone"),
        pytest.param({"understands_caveats": True}, id="a resource server that judges caveats"),
        pytest.param({"checks_certificates": True}, id="a resource server that compares certificates"),
    ],
)
def test_honest_metadata_is_taken(members):
    """Metadata that says one way to authenticate, and all that it needs, is taken and survives storage."""
    metadata = metadata_from({"scope": "read write", **members})
    stored = msgspec.json.encode(metadata)
    assert msgspec.json.decode(stored, type=ClientMetadata) == metadata


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        pytest.param({}, "scope", id="no scope"),
        pytest.param({"scope": None}, "scope", id="no scope, said so"),
        pytest.param({"scope": None, "audiences": ("https://a",)}, "scope", id="an audience without a scope"),
        pytest.param({"scope": ""}, "scope", id="an empty scope"),
        pytest.param({"scope": " read"}, "scope", id="a space in front"),
        pytest.param({"scope": "read  write"}, "scope", id="two spaces"),
        pytest.param({"scope": 'a"b'}, "scope", id="a quote in a scope"),
        pytest.param({"scope": "lesen schreibén"}, "scope", id="a scope that is no ASCII"),
        pytest.param({"scope": "read\n"}, "scope", id="a line end in a scope"),
        pytest.param({"scope": 7}, "scope", id="a scope that is no text"),
        pytest.param({"token_endpoint_auth_method": "client_secret_jwt"}, "method", id="an unknown method"),
        pytest.param({"colour": "blue"}, "colour", id="an unknown member"),
        pytest.param({"audiences": ("api.example",)}, "absolute URI", id="a relative audience"),
        pytest.param({"audiences": ("https://a/#x",)}, "absolute URI", id="an audience with a fragment"),
        pytest.param({"audiences": ("https://a/#",)}, "absolute URI", id="with an empty fragment"),
        pytest.param({"audiences": ("https://ä.example",)}, "absolute URI", id="an audience not in ASCII"),
        pytest.param({"audiences": ("https://a b",)}, "absolute URI", id="an audience with a space"),
        pytest.param(
            {"audiences": ("https://[a",)}, "a name or an address", id="an audience that no URI parser reads"
        ),
        pytest.param({"audiences": ("",)}, "absolute URI", id="an empty audience"),
        pytest.param({"audiences": ("https://a", "https://a")}, "twice", id="an audience twice"),
        pytest.param({"serves": ("api.example",)}, "absolute URI", id="a relative served audience"),
        pytest.param({"serves": ("https://a b",)}, "absolute URI", id="a served audience with a space"),
        pytest.param({"serves": ("https://a", "https://a")}, "twice", id="a served audience twice"),
        pytest.param({"serves": "https://a"}, "serves", id="a served audience that is no list"),
        pytest.param({"certificates": (THUMBPRINT,)}, "self_signed", id="a certificate beside a secret"),
        pytest.param(SELF_SIGNED | {"certificates": ()}, "self_signed", id="self-signed without certificate"),
        pytest.param(SELF_SIGNED | {"certificates": ("ab" * 32,)}, "not hex", id="a thumbprint in hex"),
        pytest.param(SELF_SIGNED | {"certificates": (THUMBPRINT + "=",)}, "43", id="a padded thumbprint"),
        pytest.param(BY_CA, "exactly one", id="a CA-signed certificate of any client"),
        pytest.param(
            BY_CA | {"tls_client_auth_san_dns": "a", "tls_client_auth_san_uri": "b:c"},
            "exactly one",
            id="two names",
        ),
        pytest.param(BY_CA | {"tls_client_auth_subject_dn": ""}, "empty", id="an empty subject"),
        pytest.param(BY_CA | {"tls_client_auth_san_dns": ""}, "empty", id="an empty DNS name"),
        pytest.param(BY_CA | {"tls_client_auth_san_uri": ""}, "empty", id="an empty URI"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": ""}, "empty", id="an empty IP address"),
        pytest.param(BY_CA | {"tls_client_auth_san_email": ""}, "empty", id="an empty e-mail address"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": "10.0.0.0/8"}, "one IPv4 or IPv6", id="a network"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": "10.0.0.07"}, "one IPv4", id="a leading zero"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": "fe80::1%eth0"}, "one IPv4", id="a zone"),
        pytest.param(BY_CA | {"tls_client_auth_san_ip": "a.example"}, "one IPv4", id="a host as IP address"),
        pytest.param(BY_CA | {"tls_client_auth_san_email": "a"}, "one address", id="no host"),
        pytest.param(
            BY_CA | {"tls_client_auth_san_email": "A <a@b.example>"}, "one address", id="a display name"
        ),
        pytest.param(BY_CA | {"tls_client_auth_san_email": "@b.example"}, "one address", id="no mailbox"),
        pytest.param(BY_CA | {"tls_client_auth_san_email": "*@b.example"}, "one address", id="any"),
        pytest.param(BY_CA | {"tls_client_auth_san_email": "a@b.example\n"}, "one address", id="a line end"),
        pytest.param(
            BY_CA | {"tls_client_auth_san_ip": "10.0.0.7", "tls_client_auth_san_email": "a@b.c"},
            "exactly one",
            id="an address of each kind",
        ),
        pytest.param(
            BY_CA | {"tls_client_auth_subject_dn": "billing"}, "RFC 4514", id="a subject that is no DN"
        ),
        pytest.param(BY_CA | {"tls_client_auth_subject_dn": "FOO=x"}, "RFC 4514", id="an unknown attribute"),
        pytest.param(BY_CA | {"tls_client_auth_subject_dn": "CN="}, "RFC 4514", id="an empty attribute"),
        pytest.param({"tls_client_auth_san_dns": "a"}, "tls_client_auth only", id="a name beside a secret"),
        pytest.param(
            SELF_SIGNED | {"tls_client_auth_subject_dn": "CN=a"},
            "tls_client_auth only",
            id="beside self-signed",
        ),
        pytest.param(PUBLIC, "public client", id="public and unbound"),
    ],
)
def test_metadata_that_promises_too_much_is_refused(members, reason):
    """Metadata that could only fail, or is weaker than it looks, is refused with one line that says why."""
    members = {"scope": "read", **members} if members else {}
    with pytest.raises(InvalidClientMetadata, match=reason) as refused:
        metadata_from(members)
    assert "\n" not in str(refused.value)
    assert "regex" not in str(refused.value)


@pytest.mark.parametrize("uri", ["https://api.example", "https://a/b?c=d", "urn:a:b", "spiffe://a/b", "a:b"])
def test_a_resource_is_an_absolute_uri(uri):
    """A resource indicator is any absolute URI without a fragment (RFC 8707 2)."""
    assert audience_mistake(uri) is None


@pytest.mark.parametrize(
    "uri", ["", "api", "/api", "//api", "https:", "https://a#", "https://a\n", "\0", "a b:c"]
)
def test_what_is_no_absolute_uri_is_no_resource(uri):
    """A relative reference, a fragment or white space makes no resource indicator."""
    assert audience_mistake(uri)
