import socket

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.certificate.source import NO_CERTIFICATE, PresentedCertificate
from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured
from tests.support.certificate_spellings import SPELLINGS, x5t
from tests.support.forwarded import (
    CLIENTCERT,
    HOLDER,
    PROXY,
    SECRET,
    SHOWS_SECRET,
    UNIX,
    connection_of,
    vouched,
)
from tests.support.tokens import came_from as at


class End:
    """The connection of gunicorn, as its environment shows it."""

    def __init__(self, address: str) -> None:
        self.address, self.family = address, socket.AF_INET6 if ":" in address else socket.AF_INET

    def getpeername(self) -> tuple[str, int]:
        """Return the other end's name."""
        return self.address, 4711


class Gone(End):
    """The connection of gunicorn once the client has closed it."""

    def __init__(self) -> None:
        super().__init__("10.0.0.7")

    def getpeername(self) -> tuple[str, int]:
        """Fail as closed sockets do."""
        raise OSError("not connected")


def from_gunicorn(address: str) -> dict[str, object]:
    """Return what gunicorn says of a connection from there."""
    return {"gunicorn.socket": End(address), "REMOTE_ADDR": address}


NONE_OF_PROXY = PresentedCertificate(is_from_proxy=True)

TRUSTED = {
    "Unix socket": (["unix"], None, UNIX),
    "its address": (["10.0.0.7"], None, from_gunicorn("10.0.0.7")),
    "its network": (["192.0.2.0/24", "10.0.0.0/8"], None, from_gunicorn("10.255.0.7")),
    "its network, IPv4-mapped": (["10.0.0.0/8"], None, from_gunicorn("::ffff:10.255.0.7")),
    "its IPv6 network": (["2001:db8::/32"], None, from_gunicorn("2001:db8::7")),
    "its certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        from_gunicorn("192.0.2.7") | {PEER_CERTIFICATE: PROXY},
    ),
    "its secret": (["secret"], SECRET, {"REMOTE_ADDR": "192.0.2.7"} | SHOWS_SECRET),
    "its secret, a network beside it": (["secret", "10.0.0.0/8"], SECRET, SHOWS_SECRET),
    "Unix socket and secret": (["unix"], SECRET, UNIX | SHOWS_SECRET),
    "certificate and secret": (
        [f"x5t#S256={x5t(PROXY)}"],
        SECRET,
        from_gunicorn("192.0.2.7") | {PEER_CERTIFICATE: PROXY} | SHOWS_SECRET,
    ),
}
STRANGERS = {
    "a network peer where a Unix socket is trusted": (["unix"], None, from_gunicorn("127.0.0.1")),
    "an address of a connection that is gone": (["10.0.0.0/8"], None, {"gunicorn.socket": Gone()}),
    "a Unix socket where a network is trusted": (["10.0.0.0/8", "127.0.0.0/8"], None, UNIX),
    "another network": (["10.0.0.0/8"], None, from_gunicorn("11.0.0.7")),
    "an IPv6 address that ends like it": (["10.0.0.0/8"], None, from_gunicorn("2001:db8::10.0.0.7")),
    "a name instead of an address": (["10.0.0.0/8"], None, from_gunicorn("10.0.0.7.example")),
    "another certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        from_gunicorn("192.0.2.7") | {PEER_CERTIFICATE: HOLDER},
    ),
    "no certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        from_gunicorn("192.0.2.7") | {PEER_CERTIFICATE: None},
    ),
    "no secret": (["unix"], SECRET, UNIX),
    "an empty secret": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": ""}),
    "a wrong secret": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": SECRET + "x"}),
    "two secrets": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": f"{SECRET},{SECRET}"}),
    "a secret that is not ASCII": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": "é" * 20}),
    "the secret alone": (["10.0.0.0/8"], SECRET, from_gunicorn("192.0.2.7") | SHOWS_SECRET),
    "no secret where it is enough": (["secret"], SECRET, from_gunicorn("10.0.0.7")),
    "a wrong secret where it is enough": (["secret"], SECRET, UNIX | {"HTTP_PROXYSECRET": SECRET[:-1]}),
    "a Unix socket by name alone": (["unix"], None, from_gunicorn("localhost")),
    "no address by name alone": (["unix"], None, {"REMOTE_ADDR": ""}),
    "a Unix socket that waitress took from a header": (
        ["unix"],
        None,
        at("192.0.2.7") | {"REMOTE_ADDR": "localhost", "REMOTE_PORT": "None"},
    ),
    "an address that waitress took from a header": (
        ["10.0.0.0/8"],
        None,
        at("192.0.2.7") | {"REMOTE_ADDR": "10.0.0.7"},
    ),
    "an address that ProxyFix read": (
        ["10.0.0.0/8"],
        None,
        from_gunicorn("192.0.2.7")
        | {"REMOTE_ADDR": "10.0.0.7", "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "10.0.0.7"}},
    ),
    "an address that gunicorn read from a PROXY line": (
        ["10.0.0.0/8"],
        None,
        from_gunicorn("192.0.2.7") | {"REMOTE_ADDR": "10.0.0.7", "PROXY_PROTOCOL": "TCP4"},
    ),
    "a Unix socket that text names": (
        ["unix"],
        None,
        {"SERVER_SOFTWARE": "gevent/26.9", "waitress.client_disconnected": "x", "gunicorn.socket": "x"},
    ),
}


@pytest.mark.parametrize(("texts", "secret", "environ"), TRUSTED.values(), ids=TRUSTED)
def test_a_named_proxy_is_believed(texts, secret, environ):
    """The certificate that a proxy named by the deployer hands over is the peer's."""
    source = Forwarded("haproxy", trust=trusted_proxies(texts, secret=secret))
    assert source(connection_of(environ, CLIENTCERT)) == vouched(HOLDER)


@pytest.mark.parametrize(("texts", "secret", "environ"), STRANGERS.values(), ids=STRANGERS)
def test_no_other_sender_is_believed(texts, secret, environ):
    """A certificate header from any sender but a trusted one is ignored, and the reason names it."""
    source = Forwarded("haproxy", trust=trusted_proxies(texts, secret=secret))
    peer = source(connection_of(environ, CLIENTCERT))
    assert (peer.thumbprint, peer.certificate) == (None, None)
    assert "Clientcert" in (peer.ignored or "")
    assert SECRET not in (peer.ignored or "")
    assert source(connection_of(environ)) == NO_CERTIFICATE


def test_two_secrets_are_none():
    """Two secrets are no secret, the same or not, where a server keeps two headers apart."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"], secret=SECRET))
    certificate = (b"Clientcert", SPELLINGS["haproxy"](HOLDER)[0].encode())
    shown = (b"Proxysecret", SECRET.encode())
    for secrets, is_believed in (
        ([shown], True),
        ([shown, shown], False),
        ([shown, (b"PROXYSECRET", b"")], False),
    ):
        peer = source(RawConnection([certificate, *secrets], address=None, is_unix_socket=True))
        assert (peer == vouched(HOLDER)) == is_believed
        assert (peer.ignored is None) == is_believed


def test_the_certificate_of_the_proxy_is_not_the_client_s():
    """A proxy that is trusted by its certificate speaks for others, never for itself."""
    source = Forwarded("rfc9440", trust=trusted_proxies([f"x5t#S256={x5t(PROXY)}"]))
    connection = from_gunicorn("192.0.2.7") | {PEER_CERTIFICATE: PROXY}
    assert source(connection_of(connection, {"HTTP_CLIENT_CERT": "::"})) == NONE_OF_PROXY


ALIASES = ("HTTP_CLIENT.CERT", "HTTP_Client_Cert", "HTTP_CLIENT-CERT")


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_ambiguous(alias: str):
    """From a trusted proxy a name that looks like the header's is refused; from others it is ignored."""
    source = Forwarded("rfc9440", trust=trusted_proxies(["unix"]))
    spoof = {alias: SPELLINGS["rfc9440"](HOLDER)[0]}
    with pytest.raises(AmbiguousHeader):
        source(connection_of(UNIX, spoof))
    assert source(connection_of(from_gunicorn("192.0.2.7"), spoof)).ignored is not None


def test_malformed_from_a_stranger_is_ignored():
    """A certificate header of a stranger is not even read."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"]))
    assert (
        source(connection_of(from_gunicorn("192.0.2.7"), {"HTTP_CLIENTCERT": "rubbish"})).ignored is not None
    )
    assert source(connection_of(from_gunicorn("192.0.2.7"), {"HTTP_CLIENTCERT": ""})).ignored is not None


def test_a_silent_proxy_is_misconfigured():
    """A trusted proxy that is silent where its format promises to speak is misconfigured."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies(["unix"]))
    with pytest.raises(ProxyMisconfigured):
        source(connection_of(UNIX))
    assert source(connection_of(UNIX, {"HTTP_CLIENTCERTX5T": "none"})) == NONE_OF_PROXY


def test_a_hash_alone_is_first_class():
    """A format that carries a hash gives a peer with a thumbprint and without a certificate."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies(["unix"]))
    expected = PresentedCertificate(thumbprint=thumbprint_of(HOLDER), is_from_proxy=True)
    assert source(connection_of(UNIX, {"HTTP_CLIENTCERTX5T": x5t(HOLDER)})) == expected


def test_another_header_is_read_when_it_is_named():
    """The deployer may name another header; the format's own one then means nothing."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"]), header="Owncert")
    assert source(connection_of(UNIX, {"HTTP_OWNCERT": CLIENTCERT["HTTP_CLIENTCERT"]})) == vouched(HOLDER)
    with pytest.raises(ProxyMisconfigured):
        source(connection_of(UNIX, CLIENTCERT))


OWN = {"header": "Own-Cert", "companion": "Own-Verify"}
CERT, VERIFY = SPELLINGS["nginx"](HOLDER)


def test_another_companion_is_read_when_it_is_named():
    """The header beside the certificate may be named too; the format's own ones then mean nothing."""
    source = Forwarded("nginx", trust=trusted_proxies(["unix"]), **OWN)
    assert source.headers == ("Own-Cert", "Own-Verify")
    said = {"HTTP_OWN_CERT": CERT, "HTTP_OWN_VERIFY": VERIFY}
    spoof = {"HTTP_CLIENTCERT": SPELLINGS["nginx"](PROXY)[0], "HTTP_CLIENTCERTVERIFY": "SUCCESS"}
    assert source(connection_of(UNIX, said, spoof)) == vouched(HOLDER)
    assert source(connection_of(UNIX, {"HTTP_OWN_VERIFY": "NONE"}, spoof)) == NONE_OF_PROXY


@pytest.mark.parametrize(
    ("verify", "error"),
    [
        pytest.param({}, ProxyMisconfigured, id="missing"),
        pytest.param({"HTTP_CLIENTCERTVERIFY": "SUCCESS"}, ProxyMisconfigured, id="the format's own name"),
        pytest.param({"HTTP_OWN_VERIFY": ""}, ProxyMisconfigured, id="empty"),
        pytest.param({"HTTP_OWN_VERIFY": "yes"}, AmbiguousHeader, id="another word"),
        pytest.param({"HTTP_OWN_VERIFY": "SUCCESS,SUCCESS"}, AmbiguousHeader, id="twice"),
        pytest.param({"HTTP_OWN_VERIFY": "SUCCESS", "HTTP_OWN.VERIFY": "x"}, AmbiguousHeader, id="alias"),
        pytest.param({"HTTP_OWN_VERIFY": "NONE"}, AmbiguousHeader, id="a contradiction"),
    ],
)
def test_a_named_companion_fails_closed(verify, error):
    """A certificate whose companion is missing, or says anything but what nginx says, is not believed."""
    source = Forwarded("nginx", trust=trusted_proxies(["unix"]), **OWN)
    with pytest.raises(error):
        source(connection_of(UNIX, {"HTTP_OWN_CERT": CERT}, verify))


@pytest.mark.parametrize("name", ["ingress-nginx", "openshift", "kong"])
def test_the_headers_of_an_ingress_are_ignored_from_others(name):
    """The fixed names of ingress controllers mean nothing from a sender that is not the proxy."""
    source = Forwarded(name, trust=trusted_proxies(["unix"]))
    keys = ["HTTP_" + header.upper().replace("-", "_") for header in source.headers]
    headers = dict(zip(keys, SPELLINGS[name](HOLDER), strict=True))
    assert source(connection_of(UNIX, headers)) == vouched(HOLDER)
    assert source(connection_of(from_gunicorn("192.0.2.7"), headers)).ignored is not None
