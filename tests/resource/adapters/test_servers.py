"""The adapters in real servers: over TLS, and behind a proxy on a Unix socket or TCP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.macaroon.caveats import ClientAddress, PathPrefix, confirmation
from tests.support.adapter_processes import Running, ask, running
from tests.support.guarded_app import WELL_KNOWN, bound
from tests.support.servers_behind_a_proxy import BEHIND_A_PROXY
from tests.support.tls_servers import Client, Server, make_client
from tests.support.tokens import CERTIFICATE as THUMBPRINT
from tests.support.tokens import OTHER_CERTIFICATE, token

OURS = f"Clientcertx5t: {THUMBPRINT}"
OTHERS = f"Clientcertx5t: {OTHER_CERTIFICATE}"


@pytest.fixture(scope="module", params=BEHIND_A_PROXY.values(), ids=list(BEHIND_A_PROXY))
def behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run each adapter on a Unix socket, where the proxy connects."""
    folder = tmp_path_factory.mktemp("behind")
    server, application = request.param
    options = {"format": "haproxy-sha256", "trust": ["unix"], "unix": str(folder / "s")}
    with running(folder, server=server, application=application, **options) as one:
        yield one


def test_a_proxy_on_a_unix_socket_is_believed(behind: Running):
    """The header of each sender at the Unix socket is believed, in each server."""
    assert behind.ask(OURS, text=bound())[0] == 200
    assert behind.ask(f"Clientcertx5t: {OTHER_CERTIFICATE}", text=bound())[0] == 401
    assert behind.ask("Clientcertx5t: none", text=bound())[0] == 401
    assert behind.ask(text=bound())[0] == 503


SMUGGLED = {
    "twice": [OURS, OURS],
    "twice, differently": [OURS, f"Clientcertx5t: {OTHER_CERTIFICATE}"],
    "none, then one": ["Clientcertx5t: none", OURS],
    "one, then none": [OURS, "Clientcertx5t: none"],
    "in other letters": [OURS, f"CLIENTCERTX5T: {THUMBPRINT}"],
}


@pytest.mark.parametrize("lines", SMUGGLED.values(), ids=SMUGGLED)
def test_a_second_header_is_refused(behind: Running, lines: list[str]):
    """A certificate header that came twice is refused in each server, however it hands that over."""
    assert behind.ask(*lines, text=bound())[0] == 400


def test_two_authorization_headers_are_refused(behind: Running):
    """Two Authorization headers are 400 in each server, whether it joins them or not."""
    for second in (f"Authorization: Bearer {bound()}", "Authorization: Basic eDp5"):
        assert behind.ask(OURS, second, text=bound())[0] == 400


def test_paths_are_those_of_the_request_line(behind: Running):
    """A path caveat judges what the request line says once it is decoded."""
    text = bound(PathPrefix("/files/7"))
    for path, status in (
        ("/files/7", 200),
        ("/files/7/a", 200),
        ("/f%69les/7", 200),
        ("/files%2F7", 200),
        ("/files/8", 401),
        ("/files/7/../8", 401),
        ("/files/7/%2e%2e/8", 401),
        ("/files/7/%FF", 401),
        ("/files/7%5c..%5c8", 401),
    ):
        assert (path, behind.ask(f"GET {path} HTTP/1.1", OURS, text=text)[0]) == (path, status)


def test_a_connection_goes_on_after_a_refusal(behind: Running):
    """After refusals of HEAD, GET and OPTIONS, which have bodies or not, the connection is still in step."""
    with behind.connect() as sock:
        for method, body in (("HEAD", False), ("GET", True), ("OPTIONS", True), ("HEAD", False)):
            status, found, headers = ask(sock, f"{method} /invoices HTTP/1.1", OURS)
            assert (status, bool(found)) == (401, body)
            assert headers["WWW-Authenticate"].startswith("Bearer realm=")
            assert headers["Cache-Control"] == "no-store"
        status, found, _ = ask(sock, OURS, text=bound())
        assert (status, json.loads(found)["client"]) == (200, "billing")


def test_the_metadata_need_no_token(behind: Running):
    """The metadata document is there without a token, and without a word about the certificate."""
    status, body = behind.ask(f"GET {WELL_KNOWN} HTTP/1.1")
    assert (status, json.loads(body)["resource"]) == (200, "https://api.example")


SECRET = "a-secret-of-the-proxy"
SHOWN = f"Proxysecret: {SECRET}"


def over_tcp(folder: Path, trust: list[str], application: str = "asgi_application", **options: Any) -> Any:
    return running(
        folder,
        server="uvicorn",
        application=application,
        format="haproxy-sha256",
        trust=trust,
        secret=SECRET,
        options=options,
    )


def test_a_proxy_is_known_by_its_secret(tmp_path: Path):
    """The header of a sender that knows the secret counts over TCP, and that of no other sender."""
    with over_tcp(tmp_path, ["secret"], proxy_headers=False) as one:
        assert one.ask(OURS, SHOWN, text=bound())[0] == 200
        assert one.ask(OURS, SHOWN + "x", text=bound())[0] == 401
        assert one.ask(OURS, SHOWN, SHOWN, text=bound())[0] == 401
        assert one.ask(OURS, text=bound())[0] == 401
        assert one.ask(SHOWN, text=bound())[0] == 503


FORGED = [
    "X-Forwarded-For: 10.0.0.1",
    "X-Forwarded-For: 10.0.0.1:4711",
    "X-Forwarded-For: 10.0.0.1:4711, 192.0.2.7",
    "X-Forwarded-For: [::ffff:10.0.0.1]:4711",
]


@pytest.mark.parametrize("network", ["10.0.0.0/8", "127.0.0.0/8"])
@pytest.mark.parametrize("believes", [True, False], ids=["believes headers", "believes none"])
def test_no_address_is_believed(tmp_path: Path, network: str, believes: bool):  # noqa: FBT001 # a parameter
    """Under uvicorn trust by network is 503 for every request, and the log says what to do."""
    options = {"forwarded_allow_ips": "*"} if believes else {"proxy_headers": False}
    with over_tcp(tmp_path, [network], **options) as one:
        for forged in FORGED:
            assert one.ask(forged, OURS, SHOWN, text=bound())[0] == 503
        assert one.ask(OURS, SHOWN, text=bound())[0] == 503
        assert one.ask(text=bound())[0] == 503
        assert "its secret (secret)" in one.log.read_text()


@pytest.mark.parametrize(("http", "status"), [("h11", 200), ("httptools", 401)])
def test_a_client_behind_uvicorn_s_proxy_headers(tmp_path: Path, http: str, status: int):
    """On a Unix socket uvicorn may take the client's address from the proxy; with httptools, none."""
    settings = {"format": "haproxy-sha256", "trust": ["unix"], "unix": str(tmp_path / "s")}
    options = {"forwarded_allow_ips": "*", "http": http}
    serving = {"server": "uvicorn", "application": "asgi_application", "options": options}
    with running(tmp_path, **serving, **settings) as one:
        text = bound(ClientAddress("192.0.2.0/24"))
        assert one.ask(OURS, "X-Forwarded-For: 192.0.2.7", text=text)[0] == status
        assert one.ask(OURS, "X-Forwarded-For: 198.51.100.7", text=text)[0] == 401
        assert one.ask(OURS, text=text)[0] == 401


def test_an_address_that_only_a_header_names(tmp_path: Path):
    """An ip caveat is met by the proxy's word alone where uvicorn takes any sender's for the address."""
    with over_tcp(tmp_path, ["secret"], forwarded_allow_ips="*", http="h11") as one:
        text = bound(ClientAddress("192.0.2.0/24"))
        assert one.ask(OURS, SHOWN, "X-Forwarded-For: 192.0.2.7", text=text)[0] == 200
        assert one.ask(OURS, "X-Forwarded-For: 192.0.2.7", text=text)[0] == 401


OPENING = (
    "GET /invoices HTTP/1.1",
    "Host: api.example",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


HANDSHAKE = tuple(line for line in OPENING if not line.startswith("Host"))


def test_a_handshake_is_judged(tmp_path: Path):
    """Uvicorn opens the holder's WebSocket, and answers a thief's handshake with the challenge."""
    options = {"ws": "websockets-sansio", "proxy_headers": False}
    with over_tcp(tmp_path, ["secret"], "websocket_application", **options) as one:
        with one.connect() as sock:
            sock.sendall(
                "\r\n".join([*OPENING, OURS, SHOWN, f"Authorization: Bearer {bound()}", "", ""]).encode()
            )
            received = sock.recv(65536)
            while b"\x81\x07billing" not in received:
                received += sock.recv(65536) or pytest.fail(f"closed after {received!r}")
            assert received.startswith(b"HTTP/1.1 101 ")
        with one.connect() as sock:
            status, body, headers = ask(sock, *HANDSHAKE, SHOWN, OTHERS, text=bound())
            assert (status, json.loads(body)["error"]) == (401, "invalid_token")
            assert headers["WWW-Authenticate"].startswith("Bearer realm=")


@pytest.fixture(scope="module")
def holders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Client, Client]:
    """Make the holder's certificate and the thief's."""
    folder = tmp_path_factory.mktemp("holders")
    return make_client(folder, "holder"), make_client(folder, "thief")


@pytest.mark.parametrize("application", ["wsgi_application", "django_wsgi_application", "flask_application"])
def test_over_tls_the_connection_s_certificate_counts(
    tmp_path: Path, holders: tuple[Client, Client], application: str
):
    """In the embedded server the token is good over the holder's own connection and nowhere else."""
    holder, thief = holders
    text = token(confirmation(thumbprint_of(holder.der)))
    authorization = {"Authorization": f"Bearer {text}"}
    with running(tmp_path, server="embedded", application=application) as one:
        server = Server(None, one.port, tmp_path)  # type: ignore[arg-type] # asked, never stopped, through this
        statuses = [
            server.ask("/invoices", server.context(client), headers=authorization).status
            for client in (holder, thief, None)
        ]
        assert statuses == [200, 401, 401]
        forged = {**authorization, "Clientcertx5t": thumbprint_of(holder.der), "Client-Cert": "x"}
        assert server.ask("/invoices", server.context(thief), headers=forged).status == 401
