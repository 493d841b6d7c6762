import pytest

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.source import NO_CERTIFICATE
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured
from tests.support.certificate_spellings import (
    HASH_ONLY,
    NONE,
    SILENT,
    SPELLINGS,
    base64_of,
    escaped_pem,
    hex_hash,
    make_certificate,
    x5t,
)
from tests.support.rsa_keys import rsa_key

HOLDER, OTHER = make_certificate("holder"), make_certificate("other")
CERTIFICATES = {
    "P-256": lambda: HOLDER,
    "RSA": lambda: make_certificate("holder", rsa_key()),
    "large": lambda: make_certificate("x" * 60, rsa_key(4096)),
}
NAMES = list(FORMATS)
OF_CERTIFICATES = sorted(FORMATS.keys() - HASH_ONLY)


def test_every_format_is_tested():
    """No format is without a spelling to test it with."""
    assert SPELLINGS.keys() == FORMATS.keys() == NONE.keys() | {"aws-alb"}
    assert all(FORMATS[name].name == name for name in FORMATS)


@pytest.mark.parametrize("kind", CERTIFICATES)
@pytest.mark.parametrize("name", NAMES)
def test_what_the_product_writes_is_read(name: str, kind: str):
    """The certificate that the product writes is the peer's; where it writes a hash, that alone is."""
    der = CERTIFICATES[kind]()
    peer = FORMATS[name].read(*SPELLINGS[name](der))
    assert peer.thumbprint == x5t(der)
    assert peer.certificate == (None if name in HASH_ONLY else der)
    assert peer.ignored is None


@pytest.mark.parametrize("value", [base64_of(HOLDER), f'"{base64_of(HOLDER)}"'], ids=["plain", "quoted"])
def test_openshift_s_router_quotes_or_not(value: str):
    """The value of OpenShift's router is read with the quotes that its template asks for, and without."""
    assert FORMATS["openshift"].read(value, "0").thumbprint == x5t(HOLDER)
    assert FORMATS["openshift"].read('""', "0") == NO_CERTIFICATE


@pytest.mark.parametrize("name", ["nginx", "ingress-nginx"])
def test_a_certificate_without_an_issuer_is_one(name: str):
    """A certificate that nginx found no issuer for is read: its key was proved, and more is not needed."""
    verify = "FAILED:unable to verify the first certificate"
    assert FORMATS[name].read(escaped_pem(HOLDER), verify).thumbprint == x5t(HOLDER)


def test_the_first_of_kong_s_chain_is_the_client_s():
    """Should Kong send a whole chain, the client's own certificate stands first."""
    assert FORMATS["kong"].read(escaped_pem(HOLDER) + escaped_pem(OTHER)).thumbprint == x5t(HOLDER)


@pytest.mark.parametrize("name", NONE)
def test_no_certificate_is_read_as_none(name: str):
    """The value that the product writes without a certificate is no certificate."""
    assert FORMATS[name].read(*NONE[name]) == NO_CERTIFICATE


MISCONFIGURED = {
    "rfc9440, nothing": ("rfc9440", (None,)),
    "nginx, no verify": ("nginx", (escaped_pem(HOLDER), None)),
    "nginx, nothing": ("nginx", (None, None)),
    "nginx, empty verify": ("nginx", (escaped_pem(HOLDER), "")),
    "nginx, SUCCESS without a certificate": ("nginx", (None, "SUCCESS")),
    "nginx, FAILED without a certificate": ("nginx", ("", "FAILED:certificate has expired")),
    "ingress-nginx, no verify": ("ingress-nginx", (escaped_pem(HOLDER), None)),
    "ingress-nginx, nothing": ("ingress-nginx", (None, None)),
    "ingress-nginx, SUCCESS without a certificate": ("ingress-nginx", (None, "SUCCESS")),
    "openshift, nothing": ("openshift", (None, None)),
    "openshift, no verify": ("openshift", (base64_of(HOLDER), None)),
    "openshift, empty verify": ("openshift", (base64_of(HOLDER), "")),
    "openshift, verify alone": ("openshift", (None, "0")),
    "haproxy, nothing": ("haproxy", (None,)),
    "haproxy-sha256, nothing": ("haproxy-sha256", (None,)),
    "apache, nothing": ("apache", (None,)),
    "caddy, nothing": ("caddy", (None,)),
    "caddy, the placeholder": ("caddy", ("{http.request.tls.client.certificate_der_base64}",)),
    "caddy-sha256, nothing": ("caddy-sha256", (None,)),
    "caddy-sha256, empty": ("caddy-sha256", ("",)),
    "caddy-sha256, the placeholder": ("caddy-sha256", ("{http.request.tls.client.fingerprint}",)),
    "aws-alb, nothing": ("aws-alb", (None,)),
    "google, nothing": ("google", (None, None)),
    "google, present is missing": ("google", (f":{base64_of(HOLDER)}:", None)),
    "google, present is empty": ("google", (None, "")),
    "google, true without": ("google", (None, "true")),
    "google-sha256, true without": ("google-sha256", ("", "true")),
    "cloudflare, true without": ("cloudflare", (None, "true")),
    "cloudflare, presented is missing": ("cloudflare", (base64_of(HOLDER), None)),
    "cloudfront, 1 without": ("cloudfront", (None, "1")),
    "cloudfront, present is missing": ("cloudfront", (hex_hash(HOLDER), None)),
}


@pytest.mark.parametrize(("name", "values"), MISCONFIGURED.values(), ids=MISCONFIGURED)
def test_a_proxy_that_leaves_it_open_is_misconfigured(name: str, values: tuple[str | None, ...]):
    """A product that promises to say whether there is a certificate, and does not, is misconfigured."""
    with pytest.raises(ProxyMisconfigured):
        FORMATS[name].read(*values)


OF_CLIENTS = {
    "nginx, NONE with a certificate": ("nginx", (escaped_pem(HOLDER), "NONE")),
    "ingress-nginx, NONE with a certificate": ("ingress-nginx", (escaped_pem(HOLDER), "NONE")),
    "ingress-nginx, success in small letters": ("ingress-nginx", (escaped_pem(HOLDER), "success")),
    "ingress-nginx, SUCCESS twice": ("ingress-nginx", (escaped_pem(HOLDER), "SUCCESS,SUCCESS")),
    "ingress-nginx, FAILED without a reason": ("ingress-nginx", (escaped_pem(HOLDER), "FAILED")),
    "openshift, an error of OpenSSL": ("openshift", (base64_of(HOLDER), "18")),
    "openshift, an error without a certificate": ("openshift", ("", "10")),
    "openshift, two zeros": ("openshift", (base64_of(HOLDER), "0,0")),
    "openshift, more than a zero": ("openshift", (base64_of(HOLDER), "00")),
    "openshift, a quote alone": ("openshift", ('"', "0")),
    "openshift, a quote in front": ("openshift", (f'"{base64_of(HOLDER)}', "0")),
    "openshift, two pairs of quotes": ("openshift", (f'""{base64_of(HOLDER)}""', "0")),
    "openshift, single quotes": ("openshift", (f"'{base64_of(HOLDER)}'", "0")),
    "kong, empty": ("kong", ("",)),
    "haproxy, empty: larger than its buffer": ("haproxy", ("",)),
    "haproxy-sha256, empty": ("haproxy-sha256", ("",)),
    "apache, empty": ("apache", ("",)),
    "google, false with": ("google", (f":{base64_of(HOLDER)}:", "false")),
    "google-sha256, false with": ("google-sha256", (hex_hash(HOLDER), "false")),
    "cloudflare, false with": ("cloudflare", (base64_of(HOLDER), "false")),
    "cloudflare-sha256, false with": ("cloudflare-sha256", (hex_hash(HOLDER), "false")),
    "cloudfront, 0 with": ("cloudfront", (hex_hash(HOLDER), "0")),
}


@pytest.mark.parametrize(("name", "values"), OF_CLIENTS.values(), ids=OF_CLIENTS)
def test_what_a_client_can_bring_about_is_no_fault_of_the_proxy(name: str, values: tuple[str | None, ...]):
    """A certificate beside the proxy's "none", as a trailer can be, or too large a one, is the client's."""
    with pytest.raises(AmbiguousHeader):
        FORMATS[name].read(*values)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_that_may_be_silent_says_so(name: str):
    """A format says whether a product may send nothing without a certificate, as RFC 9440 allows."""
    assert (name in SILENT) == (set(NONE.get(name, "x")) == {None})
    assert FORMATS[name].may_be_silent == (name in SILENT | {"rfc9440"})


def spoiled(value: str) -> dict[str, str]:
    """Return the ways to spoil a value that holds for every format."""
    return {
        "twice": f"{value},{value}",
        "twice, with a space": f"{value}, {value}",
        "a space in front": f" {value}",
        "a space after it": f"{value} ",
        "a newline after it": f"{value}\n",
        "a null after it": f"{value}\0",
        "a character more": f"{value}A",
        "a character less": value[:-1],
        "not ASCII": value[:-1] + "é",
        "a surrogate": value[:-1] + "\udcff",
        "quoted": f'"{value}"',
        "a comma after it": f"{value},",
        "a comma in front": f",{value}",
        "too long": value + "A" * 65_536,
        "a dash": "-",
        "another word for none": "null",
    }


SPOILED = [
    (name, spoiling)
    for name in sorted(FORMATS.keys() - {"traefik", "traefik2", "envoy"})
    for spoiling in spoiled("x")
    if (name, spoiling) != ("openshift", "quoted")
]


@pytest.mark.parametrize(("name", "spoiling"), SPOILED)
def test_anything_else_is_ambiguous(name: str, spoiling: str):
    """A value that the product does not write is refused, whatever is wrong with it."""
    value, *companions = SPELLINGS[name](HOLDER)
    with pytest.raises(AmbiguousHeader):
        FORMATS[name].read(spoiled(value)[spoiling], *companions)


@pytest.mark.parametrize("name", OF_CERTIFICATES)
@pytest.mark.parametrize("der", [b"hello", HOLDER + b"\0", HOLDER[:-1], HOLDER + OTHER, HOLDER[4:]])
def test_what_is_no_single_certificate_is_refused(name: str, der: bytes):
    """Bytes that are no DER SEQUENCE, or more than one, are no certificate."""
    with pytest.raises(AmbiguousHeader):
        FORMATS[name].read(*SPELLINGS[name](der))
