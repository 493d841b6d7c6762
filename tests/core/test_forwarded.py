import pytest

from macaroon_cbat.errors import AmbiguousCertificate, ProxyMisconfigured, SettingsError
from macaroon_cbat.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.header_hop import HeaderHop
from macaroon_cbat.peer import NOBODY, Peer, peer_of
from macaroon_cbat.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.wsgi_hop import PEER_CERTIFICATE, WsgiHop
from tests.core.spelling import SPELLINGS, make_certificate, x5t

HOLDER = DerCertificate(make_certificate("holder"))
PROXY = DerCertificate(make_certificate("proxy"))
SECRET = "a-secret-of-the-proxy"
SERVER = {"SERVER_SOFTWARE": "gunicorn/27.0.1"}
CLIENTCERT = {"HTTP_CLIENTCERT": SPELLINGS["haproxy"](HOLDER)[0]}
SHOWS_SECRET = {"HTTP_PROXYSECRET": SECRET}


class Channel:
    """The connection of waitress, as its environment shows it by one of its methods."""

    def __init__(self, host: str, port: int | None) -> None:
        self.addr = (host, port)

    def check_client_disconnected(self) -> bool:
        """Say no."""
        return False


def at(host: str, port: int | None = 4711) -> dict[str, object]:
    """Return what waitress says of a connection from there."""
    method = Channel(host, port).check_client_disconnected
    return {"REMOTE_ADDR": host, "waitress.client_disconnected": method}


UNIX = at("localhost", None)

TRUSTED = {
    "Unix socket": (["unix"], None, UNIX),
    "its address": (["10.0.0.7"], None, {"REMOTE_ADDR": "10.0.0.7"}),
    "its network": (["192.0.2.0/24", "10.0.0.0/8"], None, {"REMOTE_ADDR": "10.255.0.7"}),
    "its network, IPv4-mapped": (["10.0.0.0/8"], None, {"REMOTE_ADDR": "::ffff:10.255.0.7"}),
    "its IPv6 network": (["2001:db8::/32"], None, {"REMOTE_ADDR": "2001:db8::7"}),
    "its certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        {"REMOTE_ADDR": "192.0.2.7", PEER_CERTIFICATE: PROXY},
    ),
    "Unix socket and secret": (["unix"], SECRET, UNIX | SHOWS_SECRET),
    "certificate and secret": (
        [f"x5t#S256={x5t(PROXY)}"],
        SECRET,
        {"REMOTE_ADDR": "192.0.2.7", PEER_CERTIFICATE: PROXY} | SHOWS_SECRET,
    ),
}
STRANGERS = {
    "a network peer where a Unix socket is trusted": (["unix"], None, {"REMOTE_ADDR": "127.0.0.1"}),
    "no address where a network is trusted": (["10.0.0.0/8"], None, {}),
    "a Unix socket where a network is trusted": (["10.0.0.0/8", "127.0.0.0/8"], None, UNIX),
    "another network": (["10.0.0.0/8"], None, {"REMOTE_ADDR": "11.0.0.7"}),
    "an IPv6 address that ends like it": (["10.0.0.0/8"], None, {"REMOTE_ADDR": "2001:db8::10.0.0.7"}),
    "a name instead of an address": (["10.0.0.0/8"], None, {"REMOTE_ADDR": "10.0.0.7.example"}),
    "another certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        {"REMOTE_ADDR": "192.0.2.7", PEER_CERTIFICATE: HOLDER},
    ),
    "no certificate": (
        [f"x5t#S256={x5t(PROXY)}"],
        None,
        {"REMOTE_ADDR": "192.0.2.7", PEER_CERTIFICATE: None},
    ),
    "no secret": (["unix"], SECRET, UNIX),
    "an empty secret": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": ""}),
    "a wrong secret": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": SECRET + "x"}),
    "two secrets": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": f"{SECRET},{SECRET}"}),
    "a secret that is not ASCII": (["unix"], SECRET, UNIX | {"HTTP_PROXYSECRET": "é" * 20}),
    "the secret alone": (["10.0.0.0/8"], SECRET, {"REMOTE_ADDR": "192.0.2.7"} | SHOWS_SECRET),
    "a Unix socket by name alone": (["unix"], None, {"REMOTE_ADDR": "localhost"}),
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
        {"REMOTE_ADDR": "10.0.0.7", "werkzeug.proxy_fix.orig": {"REMOTE_ADDR": "192.0.2.7"}},
    ),
}


def hop(*environs: dict[str, object]) -> WsgiHop:
    return WsgiHop({key: value for environ in (SERVER, *environs) for key, value in environ.items()})


@pytest.mark.parametrize(("texts", "secret", "environ"), TRUSTED.values(), ids=TRUSTED)
def test_a_named_proxy_is_believed(texts, secret, environ):
    """The certificate that a proxy named by the deployer hands over is the peer's."""
    source = Forwarded("haproxy", trust=trusted_proxies(texts, secret=secret))
    assert source(hop(environ, CLIENTCERT)) == peer_of(HOLDER)


@pytest.mark.parametrize(("texts", "secret", "environ"), STRANGERS.values(), ids=STRANGERS)
def test_nobody_else_is_believed(texts, secret, environ):
    """A certificate header from anybody else is ignored, and the reason says so."""
    source = Forwarded("haproxy", trust=trusted_proxies(texts, secret=secret))
    peer = source(hop(environ, CLIENTCERT))
    assert (peer.thumbprint, peer.certificate) == (None, None)
    assert "Clientcert" in (peer.ignored or "")
    assert SECRET not in (peer.ignored or "")
    assert source(hop(environ)) == NOBODY


def test_two_secrets_are_none():
    """Where a server keeps two headers apart, two secrets are no secret, whatever they are."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"], secret=SECRET))
    certificate = (b"Clientcert", SPELLINGS["haproxy"](HOLDER)[0].encode())
    shown = (b"Proxysecret", SECRET.encode())
    for secrets, is_believed in (
        ([shown], True),
        ([shown, shown], False),
        ([shown, (b"PROXYSECRET", b"")], False),
    ):
        peer = source(HeaderHop([certificate, *secrets], address=None, is_unix_socket=True))
        assert (peer == peer_of(HOLDER)) == is_believed
        assert (peer.ignored is None) == is_believed


def test_the_certificate_of_the_proxy_is_not_the_client_s():
    """A proxy that is trusted by its certificate speaks for others, never for itself."""
    source = Forwarded("rfc9440", trust=trusted_proxies([f"x5t#S256={x5t(PROXY)}"]))
    assert source(hop({"REMOTE_ADDR": "192.0.2.7", PEER_CERTIFICATE: PROXY})) == NOBODY


class Undecided(WsgiHop):
    """A hop whose address cannot be told, as those of some ASGI servers."""

    def address(self) -> str | None:
        """Refuse to say."""
        raise ProxyMisconfigured("the address may come from a header")


def test_an_address_that_nobody_knows():
    """Where the address cannot be told, networks are misconfigured, and a Unix socket is still one."""
    environ = SERVER | CLIENTCERT | {"REMOTE_ADDR": "192.0.2.7"}
    with pytest.raises(ProxyMisconfigured):
        Forwarded("haproxy", trust=trusted_proxies(["10.0.0.0/8"]))(Undecided(environ))
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"]))
    assert "an unknown address" in (source(Undecided(environ)).ignored or "")
    assert source(Undecided(environ | UNIX)) == peer_of(HOLDER)


ALIASES = ("HTTP_CLIENT.CERT", "HTTP_Client_Cert", "HTTP_CLIENT-CERT")


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_ambiguous(alias: str):
    """From a trusted proxy a name that looks like the header's is refused; from others it is ignored."""
    source = Forwarded("rfc9440", trust=trusted_proxies(["unix"]))
    spoof = {alias: SPELLINGS["rfc9440"](HOLDER)[0]}
    with pytest.raises(AmbiguousCertificate):
        source(hop(UNIX, spoof))
    assert source(hop({"REMOTE_ADDR": "192.0.2.7"}, spoof)).ignored is not None


def test_malformed_from_a_stranger_is_ignored():
    """What a stranger sends is not even read."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"]))
    assert source(hop({"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_CLIENTCERT": "rubbish"})).ignored is not None
    assert source(hop({"REMOTE_ADDR": "192.0.2.7"}, {"HTTP_CLIENTCERT": ""})).ignored is not None


def test_a_silent_proxy_is_misconfigured():
    """A trusted proxy that is silent where its format promises to speak is misconfigured."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies(["unix"]))
    with pytest.raises(ProxyMisconfigured):
        source(hop(UNIX))
    assert source(hop(UNIX, {"HTTP_CLIENTCERTX5T": "none"})) == NOBODY


def test_a_hash_alone_is_first_class():
    """A format that carries a hash gives a peer with a thumbprint and without a certificate."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies(["unix"]))
    assert source(hop(UNIX, {"HTTP_CLIENTCERTX5T": x5t(HOLDER)})) == Peer(thumbprint=thumbprint_of(HOLDER))


def test_another_header_is_read_when_it_is_named():
    """The deployer may name another header; the format's own one then means nothing."""
    source = Forwarded("haproxy", trust=trusted_proxies(["unix"]), header="Owncert")
    assert source(hop(UNIX, {"HTTP_OWNCERT": CLIENTCERT["HTTP_CLIENTCERT"]})) == peer_of(HOLDER)
    with pytest.raises(ProxyMisconfigured):
        source(hop(UNIX, CLIENTCERT))


UNUSABLE = {
    "nobody": ([], "no trusted proxy is named"),
    "an empty text": ([""], "no trusted proxy is named"),
    "an empty text among others": (["unix", ""], "'' is no trusted proxy"),
    "everybody": (["0.0.0.0/0"], "would trust everybody"),
    "everybody, IPv6": (["unix", "::/0"], "would trust everybody"),
    "everybody, IPv4-mapped": (["::ffff:0:0/96"], "write it as an IPv4 network"),
    "host bits": (["10.0.0.7/8"], "is no trusted proxy"),
    "a host name": (["proxy.example"], "is no trusted proxy"),
    "a number": (["10"], "is no trusted proxy"),
    "another word": (["*"], "is no trusted proxy"),
    "a hash in hexadecimal": (["x5t#S256=" + "ab" * 32], "43 characters, not hex"),
    "no hash": (["x5t#S256="], "43 characters"),
}


@pytest.mark.parametrize(("texts", "reason"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_proxies_are_refused(texts: list[str], reason: str):
    """What names no proxy, or everybody, is a SettingsError that says so."""
    with pytest.raises(SettingsError, match=reason):
        trusted_proxies(texts)


@pytest.mark.parametrize("secret", ["", "too short", "x" * 15, "x" * 257, "a secret with spaces", "é" * 16])
def test_unusable_secrets_are_refused(secret: str):
    """A secret of the proxy has 16 printable ASCII characters at least."""
    with pytest.raises(SettingsError, match="secret must be"):
        trusted_proxies(["unix"], secret=secret)


def test_the_secret_does_not_print():
    """Nothing that a log could show holds the secret."""
    trust = trusted_proxies(["unix"], secret=SECRET)
    assert SECRET not in repr(trust)
    assert SECRET not in repr(Forwarded("haproxy", trust=trust))


@pytest.mark.parametrize(
    ("format_", "header"),
    [
        ("unknown", None),
        ("Nginx", None),
        ("nginx", "Client_Cert"),
        ("nginx", "Client.Cert"),
        ("nginx", "Client Cert"),
        ("nginx", "-Cert"),
        ("nginx", "clientcertverify"),
        ("haproxy", "Proxysecret"),
        ("haproxy", "Clientcert\n"),
    ],
)
def test_unusable_formats_and_headers_are_refused(format_: str, header: str | None):
    """An unknown format and a name that some server would fold are refused at the start."""
    with pytest.raises(SettingsError):
        Forwarded(format_, trust=trusted_proxies(["unix"]), header=header)
