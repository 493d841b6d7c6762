"""The guard behind a proxy on real servers: it trusts the proxy, and no client that goes around it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat import DerCertificate, confirmation, thumbprint_of
from tests.support.certificate_spellings import SPELLINGS, make_certificate
from tests.support.servers.running import Server, running
from tests.support.tokens import token

HOLDER, THIEF = make_certificate("holder"), make_certificate("thief")
CERTIFICATE, VERIFY = SPELLINGS["nginx"](HOLDER)
OTHER, _ = SPELLINGS["nginx"](THIEF)
BEARER = "Authorization: Bearer " + token(confirmation(thumbprint_of(DerCertificate(HOLDER))))
SECRET = "a-secret-of-the-proxy"
PROXY_ADDRESS, STRANGER_ADDRESS = "127.0.0.2", "127.0.0.1"
VERIFIED = ("Clientcertverify: SUCCESS",)
SERVERS = {
    "waitress": ("waitress", {}),
    "gunicorn": ("gunicorn", {}),
    "gevent": ("gevent", {}),
    "werkzeug": ("werkzeug", {}),
    "embedded": ("embedded", {}),
}
ON_PORTS_ALONE = ("embedded",)


@pytest.fixture(scope="module", params=SERVERS)
def on_a_port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a guarded application that trusts the proxy's address, with nginx's format."""
    name, options = SERVERS[request.param]
    proxy = {"format": "nginx", "trust": [f"{PROXY_ADDRESS}/32"]}
    with running(name, "tcp", tmp_path_factory.mktemp("p"), proxy=proxy, **options) as server:
        yield server


@pytest.fixture(scope="module", params=[name for name in SERVERS if name not in ON_PORTS_ALONE])
def at_a_socket(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one at a Unix socket that trusts each sender that reaches it and knows the secret."""
    name, options = SERVERS[request.param]
    folder = tmp_path_factory.mktemp("s")
    proxy = {"format": "nginx", "trust": ["unix"], "secret": SECRET}
    with running(name, f"unix:{folder}/s", folder, proxy=proxy, **options) as server:
        yield server


def ask(server: Server, *lines: str, address: str = PROXY_ADDRESS) -> tuple[int, str]:
    """Return status and error of a request with the holder's token."""
    status, body = server.send("/invoices", BEARER, *lines, connection=server.connect(address))
    return status, body.get("error", "")


def ignored(server: Server) -> float:
    """Return how many certificate headers this server did not believe."""
    page = server.send("/metrics")[1].decode()
    for line in page.splitlines():
        if line.startswith("macaroon_cbat_certificates_ignored_total "):
            return float(line.split()[1])
    return 0.0


def test_the_proxy_is_believed(on_a_port: Server):
    """From the trusted address the holder's certificate lets the holder's token pass."""
    for verify in ("SUCCESS", "FAILED:self-signed certificate", "FAILED:certificate has expired"):
        lines = (f"Clientcert: {CERTIFICATE}", f"Clientcertverify: {verify}")
        assert ask(on_a_port, *lines) == (200, "")


def test_another_certificate_is_not_enough(on_a_port: Server):
    """The thief's certificate, or none, does not let the holder's token pass."""
    assert ask(on_a_port, f"Clientcert: {OTHER}", *VERIFIED) == (401, "invalid_token")
    assert ask(on_a_port, "Clientcertverify: NONE") == (401, "invalid_token")


def test_around_the_proxy(on_a_port: Server):
    """A client that connects directly may send what the proxy sends: it is ignored, counted, logged; 401."""
    before = ignored(on_a_port)
    lines = (f"Clientcert: {CERTIFICATE}", *VERIFIED)
    assert ask(on_a_port, *lines, address=STRANGER_ADDRESS) == (401, "invalid_token")
    assert ignored(on_a_port) == before + 1
    assert f"ignored: Clientcert: it came from {STRANGER_ADDRESS}" in on_a_port.log.read_text()


FROM_STRANGERS = {
    "in lower case": (f"clientcert: {CERTIFICATE}",),
    "in upper case": (f"CLIENTCERT: {CERTIFICATE}",),
    "twice": (f"Clientcert: {CERTIFICATE}", f"Clientcert: {CERTIFICATE}"),
    "rubbish": ("Clientcert: x",),
    "empty": ("Clientcert:",),
}


@pytest.mark.parametrize("lines", FROM_STRANGERS.values(), ids=FROM_STRANGERS)
def test_no_spelling_of_a_stranger_s_is_believed(on_a_port: Server, lines: tuple[str, ...]):
    """However a stranger spells the header, it is ignored and counted."""
    before = ignored(on_a_port)
    status = ask(on_a_port, *lines, *VERIFIED, address=STRANGER_ADDRESS)
    assert status == (401, "invalid_token")
    assert ignored(on_a_port) == before + 1


NOT_CLIENTCERT = (
    "Client_cert",
    "Client.cert",
    "Client-cert",
    "X-Clientcert",
    "Clientcert_",
    "HTTP_CLIENTCERT",
)


@pytest.mark.parametrize("name", NOT_CLIENTCERT)
def test_no_alias_counts(on_a_port: Server, name: str):
    """A name that only resembles the header's is never taken for it, from the proxy's address neither."""
    lines = (f"{name}: {CERTIFICATE}", "Clientcertverify: NONE")
    assert ask(on_a_port, *lines) == (401, "invalid_token")


def test_two_headers_are_refused(on_a_port: Server):
    """Two certificates through the proxy are 400 in either order, and so is one twice."""
    for pair in ((CERTIFICATE, OTHER), (OTHER, CERTIFICATE), (CERTIFICATE, CERTIFICATE)):
        lines = tuple(f"Clientcert: {value}" for value in pair)
        assert ask(on_a_port, *lines, *VERIFIED) == (400, "invalid_request")
        lines = (f"Clientcert: {pair[0]}", f"clientCERT: {pair[1]}")
        assert ask(on_a_port, *lines, *VERIFIED) == (400, "invalid_request")


def test_two_verdicts_are_refused(on_a_port: Server):
    """A client that adds its own verdict to the proxy's is refused."""
    lines = (f"Clientcert: {CERTIFICATE}", *VERIFIED, "Clientcertverify: NONE")
    assert ask(on_a_port, *lines) == (400, "invalid_request")


def test_a_certificate_beside_none_is_refused(on_a_port: Server):
    """A certificate beside the proxy's word that there is none, as a trailer can be, is the client's: 400."""
    lines = (f"Clientcert: {CERTIFICATE}", "Clientcertverify: NONE")
    assert ask(on_a_port, *lines) == (400, "invalid_request")


def test_a_proxy_that_forgets_to_say(on_a_port: Server):
    """A proxy without the verdict, or without the certificate, is misconfigured: 503, not 401."""
    for lines in ((), (f"Clientcert: {CERTIFICATE}",), VERIFIED):
        assert ask(on_a_port, *lines) == (503, "temporarily_unavailable")
    assert "nginx does not send $ssl_client_verify" in on_a_port.log.read_text()


def test_the_secret_is_asked_for(at_a_socket: Server):
    """The secret decides over the trusted socket: right, wrong, missing, twice, beside another."""
    lines = (f"Clientcert: {CERTIFICATE}", *VERIFIED)
    shown = f"Proxysecret: {SECRET}"
    before = ignored(at_a_socket)
    assert ask(at_a_socket, *lines, shown) == (200, "")
    assert ignored(at_a_socket) == before
    for secrets in ((), ("Proxysecret: wrong",), (shown, shown), (shown, "Proxysecret: x"), (shown + "x",)):
        assert ask(at_a_socket, *lines, *secrets) == (401, "invalid_token")
    assert ignored(at_a_socket) == before + 5
    log = at_a_socket.log.read_text()
    assert "without the proxy's secret" in log
    assert SECRET not in log


@pytest.mark.parametrize("name", ["waitress", "gunicorn"])
def test_names_with_hyphens_are_safe_where_they_are_read(tmp_path: Path, name: str):
    """RFC 9440's own name works on servers that drop aliases, beside one, and not without it."""
    value = SPELLINGS["rfc9440"](HOLDER)[0]
    with running(name, "tcp", tmp_path, proxy={"format": "rfc9440", "trust": [PROXY_ADDRESS]}) as server:
        assert ask(server, f"Client-Cert: {value}") == (200, "")
        assert ask(server, "Client-Cert: ::") == (401, "invalid_token")
        assert ask(server, f"Client_Cert: {value}") == (503, "temporarily_unavailable")
        assert ask(server, f"Client-Cert: {value}", f"Client_Cert: {value}") == (200, "")
        assert ask(server, f"Client-Cert: {value}", f"Client-Cert: {value}") == (400, "invalid_request")
        dotted = ask(server, f"Client.Cert: {value}", "Client-Cert: ::")
        assert dotted in {(400, "invalid_request"), (401, "invalid_token")}


def test_a_name_with_hyphens_is_not_read_elsewhere(tmp_path: Path):
    """On a server that takes an underscore for a hyphen, RFC 9440's own name is 503."""
    value = SPELLINGS["rfc9440"](HOLDER)[0]
    proxy = {"format": "rfc9440", "trust": ["secret"], "secret": SECRET}
    with running("wsgiref", "tcp", tmp_path, proxy=proxy) as server:
        sent = (f"Client-Cert: {value}", f"Proxysecret: {SECRET}")
        assert ask(server, *sent) == (503, "temporarily_unavailable")
