import threading

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.federation.addresses import is_public
from macaroon_cbat.service.federation.reaching import LARGEST_DOCUMENT, Place, fetched_key_set
from tests.support.federated import KEYS
from tests.support.key_servers import DISCOVERY, METADATA, key_server

PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
ELSEWHERE = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1", "198.18.0.1", "192.0.2.1"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a00:1::", "192.0.0.192", "192.88.99.1", "2002:c000:c0::", "3fff::1"),
    *("localhost", "", "2130706433"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address):
    """An address on the public internet is public, in IPv4 inside IPv6 too."""
    assert is_public(address)


@pytest.mark.parametrize("address", ELSEWHERE)
def test_other_addresses(address):
    """An address of a host, a network, a cloud's metadata, or one that leads there, is not public."""
    assert not is_public(address)


def test_a_key_set_is_fetched(issuer):
    """The key set at the URL that the operator named is fetched, and nothing else is requested."""
    issuer.publish("/jwks", KEYS)
    assert fetched_key_set(issuer.place()) == KEYS
    assert issuer.asked == ["/jwks"]


def test_a_name_that_leads_to_a_private_address(issuer):
    """A name that leads to this machine is not reached unless the operator allows private addresses."""
    issuer.publish("/jwks", KEYS)
    with pytest.raises(Unavailable, match="not public"):
        fetched_key_set(issuer.place(private_addresses=False))
    assert issuer.asked == []


def test_an_address_that_the_operator_wrote(issuer):
    """An address in the URL itself is the operator's own choice."""
    issuer.publish("/jwks", KEYS)
    url = issuer.url.replace("localhost", "127.0.0.1")
    assert fetched_key_set(Place(url, url + "/jwks", issuer.ca)) == KEYS


@pytest.mark.parametrize("path", [DISCOVERY, METADATA])
def test_keys_are_discovered(issuer, path):
    """The metadata of the issuer name its keys, by OpenID Connect Discovery or by RFC 8414."""
    issuer.publish(path, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"})
    issuer.publish("/jwks", KEYS)
    assert fetched_key_set(issuer.place(None)) == KEYS
    assert issuer.asked[-1] == "/jwks"


def test_an_issuer_with_a_path(issuer):
    """The two kinds of metadata have different places below an issuer with a path."""
    named = f"{issuer.url}/realms/acme"
    with pytest.raises(Unavailable):
        fetched_key_set(issuer.place(None, issuer=named))
    assert issuer.asked == [f"/realms/acme{DISCOVERY}", f"{METADATA}/realms/acme"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"jwks_uri": "https://localhost:1/jwks"}, "another host"),
        ({"jwks_uri": "https://169.254.169.254/jwks"}, "another host"),
        ({"jwks_uri": "http://localhost/jwks"}, "no usable jwks_uri"),
        ({"jwks_uri": "file:///etc/passwd"}, "no usable jwks_uri"),
        ({"jwks_uri": None}, "no usable jwks_uri"),
        ({"jwks_uri": "https://user@localhost/jwks"}, "no usable jwks_uri"),
        ({"issuer": "https://evil.example"}, "are of the issuer"),
        ({"issuer": None}, "are of the issuer"),
    ],
    ids=["port", "cloud", "plain", "file", "missing", "user", "other-issuer", "no-issuer"],
)
def test_metadata_choose_no_other_host(issuer, changes, words):
    """Metadata of another issuer, or that name keys at another origin, lead nowhere."""
    issuer.publish(DISCOVERY, {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks", **changes})
    with pytest.raises(Unavailable, match=words):
        fetched_key_set(issuer.place(None))
    assert issuer.asked == [DISCOVERY]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(issuer, status):
    """A key set that has moved is not followed: the issuer's server must not choose the next host."""
    issuer.publish("/jwks", b"", status=status, headers={"Location": f"{issuer.url}/elsewhere"})
    issuer.publish("/elsewhere", KEYS)
    with pytest.raises(Unavailable, match=str(status)):
        fetched_key_set(issuer.place())
    assert issuer.asked == ["/jwks"]


@pytest.mark.parametrize(
    "body",
    [
        b" " * (LARGEST_DOCUMENT + 1),
        b"[]",
        b"<html>",
        b'{"keys":[],"keys":[]}',
        b'{"keys":NaN}',
        b"[" * 100_000,
        b"\xff",
    ],
    ids=["huge", "list", "html", "repeated-key", "nan", "deep", "not-utf-8"],
)
def test_a_document_that_is_no_key_set(issuer, body):
    """A document that is huge, or no single JSON object, is of no use."""
    issuer.publish("/jwks", body)
    with pytest.raises(Unavailable):
        fetched_key_set(issuer.place())


def test_a_slow_issuer(tmp_path):
    """An issuer that does not answer in time is given up."""
    gate = threading.Event()
    with key_server(tmp_path) as slow:  # which may read the request that was given up after this test
        slow.publish("/jwks", KEYS, gate=gate)
        with pytest.raises(Unavailable, match="in time"):
            fetched_key_set(slow.place(), 0.2)
        gate.set()


def test_a_server_of_another_ca(issuer):
    """A server whose certificate is of no trusted CA is not believed."""
    issuer.publish("/jwks", KEYS)
    with pytest.raises(Unavailable, match=r"no CA that is trusted here: name .* with --issuer-ca"):
        fetched_key_set(issuer.place(ca=None))
    assert issuer.asked == []


@pytest.mark.parametrize("text", ["x", "\u00e9"])
def test_a_ca_that_is_none(issuer, text):
    """A CA that is no PEM certificate is named as the mistake."""
    with pytest.raises(Unavailable, match="PEM"):
        fetched_key_set(issuer.place(ca=text))


def test_no_proxy_of_the_environment(issuer, monkeypatch):
    """A proxy that the environment names is not used: it would choose the address."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    issuer.publish("/jwks", KEYS)
    assert fetched_key_set(issuer.place()) == KEYS
