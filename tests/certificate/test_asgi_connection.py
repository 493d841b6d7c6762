"""The connection of an ASGI scope, as four servers describe it (measured)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from macaroon_cbat.certificate.asgi_connection import AsgiConnection, AsgiServer
from macaroon_cbat.certificate.source import NO_CERTIFICATE, presented_certificate, tls_connection
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured

DER = DerCertificate(b"a certificate")
PEM = "-----BEGIN CERTIFICATE-----\nYSBjZXJ0aWZpY2F0ZQ==\n-----END CERTIFICATE-----\n"
OTHER = PEM.replace("YSB", "YiB")

MEASURED = AsgiServer(shows_unix_socket=True)

UNIX = {
    "uvicorn": {"client": None, "server": ("/run/app.sock", None)},
    "uvicorn, the client from a header": {"client": ("192.0.2.7", 0), "server": ("/run/app.sock", None)},
    "hypercorn and daphne": {"client": None, "server": None},
    "granian": {"client": ("", "0"), "server": ("/run/app.sock", "0")},
}
NOT_UNIX = {
    "uvicorn": {"client": ("192.0.2.7", 40_000), "server": ("192.0.2.1", 443)},
    "hypercorn, an empty X-Forwarded-For": {"client": ("", 0), "server": ("192.0.2.1", 443)},
    "granian, an empty X-Forwarded-For": {"client": ("", 0), "server": ("192.0.2.1", "443")},
    "an address without a port": {"client": None, "server": ("192.0.2.1", None)},
    "an IPv6 address without a port": {"client": ("", "0"), "server": ("::1", "0")},
    "an empty name": {"client": None, "server": ("", None), "headers": [(b"host", b"")]},
    "a name from X-Forwarded-Host": {
        "client": None,
        "server": ("/run/app.sock", None),
        "headers": [(b"x-forwarded-host", b"/run/app.sock")],
    },
    "a name from X-Forwarded-Host, in other letters": {
        "client": None,
        "server": ("app.sock", None),
        "headers": [(b"x-forwarded-host", b"APP.SOCK:443")],
    },
    "gunicorn's ASGI worker": {"client": None, "server": ("/", "t")},
    "uvicorn, the client already gone": {"client": None, "server": ("192.0.2.1", 443)},
    "granian": {"client": ("192.0.2.7", "40000"), "server": ("192.0.2.1", "443")},
    "hypercorn, the client from a header": {"client": ("192.0.2.7", 0), "server": None},
    "a server that says nothing": {},
    "a server that says nothing of the client": {"server": None},
}
ALIASES = (b"client_cert", b"client.cert", b"CLIENT_CERT", b"Client.cert")


def connection_of(*headers: tuple[bytes, bytes], **scope) -> AsgiConnection:
    return AsgiConnection({"type": "http", "headers": list(headers), **scope}, lambda: MEASURED)


def with_chain(chain) -> AsgiConnection:
    return connection_of(extensions={"tls": {"client_cert_chain": chain}})


@pytest.mark.parametrize("chain", [[PEM], (PEM, OTHER), {PEM: 1}.keys(), [PEM.replace("\n", "\r\n")]])
def test_the_certificate_is_the_chain_s_first(chain):
    """The client's own certificate comes first in ASGI's TLS extension."""
    assert tls_connection(with_chain(chain)) == presented_certificate(DER)


@pytest.mark.parametrize(
    "extensions",
    [None, {}, {"tls": None}, {"tls": {}}, *({"tls": {"client_cert_chain": n}} for n in (None, []))],
)
def test_no_certificate_is_read_as_none(extensions):
    """Without the extension, or without a certificate in it, there is none."""
    assert tls_connection(connection_of(extensions=extensions)).thumbprint is None
    assert tls_connection(connection_of()).thumbprint is None


@pytest.mark.parametrize("text", ["", PEM + PEM, PEM.replace("=", ""), "rubbish", PEM.replace("YSB", "Y$B")])
def test_what_is_no_pem_is_an_error(text):
    """A server that shows something else than one certificate is broken: the certificate cannot be told."""
    with pytest.raises(ProxyMisconfigured, match="not PEM"):
        with_chain([text]).certificate()


def test_an_empty_certificate_is_none():
    """Armour around nothing is no certificate, whose hash could be bound to."""
    text = "-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----\n"
    assert tls_connection(with_chain([text])) == NO_CERTIFICATE


@pytest.mark.parametrize("scope", UNIX.values(), ids=UNIX)
def test_a_unix_socket_is_known(scope):
    """Each server's way to describe a Unix socket is known."""
    assert connection_of(**scope).is_unix_socket() is True


@pytest.mark.parametrize("scope", NOT_UNIX.values(), ids=NOT_UNIX)
def test_anything_else_is_no_unix_socket(scope):
    """A connection that is not known to be over a Unix socket is over none."""
    assert connection_of(**scope).is_unix_socket() is False


@pytest.mark.parametrize("client", [None, ("192.0.2.7", 40_000), ("2001:db8::7", "40000"), ("10.0.0.1", 0)])
def test_the_address_is_unknown(client):
    """The client of a scope may come from a header or a PROXY line: the connection shows no address."""
    assert connection_of(client=client).address() is None
    assert connection_of(client=client).shows_address() is False


@pytest.mark.parametrize("scope", UNIX.values(), ids=UNIX)
def test_of_an_unknown_server_no_socket_is_known(scope):
    """A server that was not measured has no Unix socket, whatever its scope looks like."""
    assert AsgiConnection({"headers": [], **scope}).is_unix_socket() is False
    assert (
        AsgiConnection({"headers": [], **scope}, lambda: AsgiServer(merges_trailers=True)).is_unix_socket()
        is False
    )


@pytest.mark.parametrize("merges_trailers", [False, True])
def test_the_server_says_whether_trailers_are_headers(merges_trailers):
    """Whether trailers stand among the headers is known of the server, not of the scope."""
    one = AsgiConnection({"headers": []}, lambda: AsgiServer(merges_trailers=merges_trailers))
    assert one.merges_trailers() is merges_trailers


def test_a_header_has_one_value():
    """A header is found whatever its letter case, with its value as it came."""
    found = connection_of((b"host", b"h"), (b"Client-Cert", b":caf\xe9:"))
    assert [found.header(name) for name in ("Client-Cert", "CLIENT-CERT")] == [":caf\xe9:"] * 2
    assert found.header("Client-Certs") is None
    assert connection_of((b"client-cert", b"")).header("Client-Cert") == ""


@pytest.mark.parametrize("values", [(b"a", b"a"), (b"a", b"b"), (b"", b"a")])
def test_a_header_that_came_twice_is_ambiguous(values):
    """Two headers of one name are ambiguous, equal or not."""
    with pytest.raises(AmbiguousHeader, match="more than once"):
        connection_of(*((b"client-cert", value) for value in values)).header("Client-Cert")


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_is_ambiguous(alias):
    """A name that some server takes for the header is refused, alone and beside it, in either order."""
    pairs = [(b"client-cert", b"good"), (alias, b"evil")]
    for came in ([pairs[1]], pairs, pairs[::-1]):
        with pytest.raises(AmbiguousHeader):
            connection_of(*came).header("Client-Cert")


def test_a_name_without_separators_has_no_alias():
    """Our own names need no such care: nothing else is taken for them."""
    assert connection_of((b"client_cert", b"x"), (b"client-cert", b"y")).header("Clientcert") is None


NAMES = st.one_of(
    st.sampled_from([b"client-cert", b"Client-Cert", b"client_cert", b"client.cert", b"clientcert", b"host"]),
    st.binary(max_size=12),
)


def taken_for_the_same(name: bytes) -> bool:
    return name.lower().replace(b"-", b"_").replace(b".", b"_") == b"client_cert"


@given(st.lists(st.tuples(NAMES, st.binary(max_size=8)), max_size=4))
@example([(b"Client-Cert", b"\t")])
@example([(b"client-cert", b" \t a b\t ")])
def test_one_header_or_none_or_an_error(headers):
    """The value of a header is that of the only one of its name, or none, or ambiguous, among any headers."""
    same = [(name, value.strip(b" \t")) for name, value in headers if taken_for_the_same(name)]
    try:
        value = connection_of(*headers).header("Client-Cert")
    except AmbiguousHeader:
        assert len(same) > 1 or same[0][0].lower() != b"client-cert"
    else:
        assert [text.decode("latin-1") for _, text in same] == ([] if value is None else [value])


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=30)), max_size=4), st.binary(max_size=8))
def test_an_address_is_never_a_header_s(headers, name):
    """No header is told as the connection's address, and no header makes a Unix socket."""
    for host in ("10.0.0.1", name.decode("latin-1")):
        one = connection_of(
            *headers, (b"X-Forwarded-Host", host.encode("latin-1")), client=None, server=(host, None)
        )
        assert (one.address(), one.is_unix_socket()) == (None, False)


@given(st.text(max_size=80))
def test_any_text_is_a_certificate_or_an_error(text):
    """Any text that a server shows is the certificate of one PEM block, or an error of ours."""
    armoured = f"-----BEGIN CERTIFICATE-----{text}-----END CERTIFICATE-----"
    for shown in (text, armoured):
        try:
            certificate = with_chain([shown]).certificate()
        except ProxyMisconfigured:
            continue
        assert isinstance(certificate, bytes)
