"""Trailers of a request with a body in chunks, as each server shows them: a trailer is not a header."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat import DerCertificate, confirmation, thumbprint_of
from tests.support.certificate_spellings import SPELLINGS, make_certificate
from tests.support.servers.running import Server, running
from tests.support.tokens import token

HOLDER, OTHER = make_certificate("holder"), make_certificate("another")
TOKEN = token(confirmation(thumbprint_of(DerCertificate(HOLDER))))
BEARER = f"Authorization: Bearer {TOKEN}"
SECRET = "Proxysecret: a-secret-of-the-proxy"
PROXY = {"trust": ["secret"], "secret": SECRET.partition(" ")[2]}
HEADERS = {
    "rfc9440": "Client-Cert",
    "envoy": "X-Forwarded-Client-Cert",
    "traefik": "X-Forwarded-Tls-Client-Cert",
}
MERGING = {
    "uvicorn": ("uvicorn", {}),
    "uvicorn, httptools": ("uvicorn", {"http": "httptools"}),
}
APART = {
    "uvicorn, h11": ("uvicorn", {"http": "h11"}),
    "hypercorn": ("hypercorn", {}),
    "gunicorn's ASGI worker": (
        "gunicorn",
        {"serves": "asgi", "worker_class": "asgi", "asgi_lifespan": "off"},
    ),
}


@pytest.fixture(params=sorted(HEADERS))
def format_(request: pytest.FixtureRequest) -> str:
    """Name each format that says "none" by silence, or may."""
    name: str = request.param
    return name


@pytest.fixture(params=MERGING)
def merging(request: pytest.FixtureRequest, tmp_path: Path, format_: str) -> Iterator[Server]:
    """Run a guard of this format on a server that shows trailers as headers."""
    name, options = MERGING[request.param]
    with running(name, "tcp", tmp_path, proxy={**PROXY, "format": format_}, **options) as server:
        yield server


@pytest.fixture(params=APART)
def apart(request: pytest.FixtureRequest, tmp_path: Path, format_: str) -> Iterator[Server]:
    """Run a guard of this format on a server that keeps trailers apart."""
    name, options = APART[request.param]
    with running(name, "tcp", tmp_path, proxy={**PROXY, "format": format_}, **options) as server:
        yield server


def certificate_line(format_: str, der: bytes = HOLDER) -> str:
    return f"{HEADERS[format_]}: {SPELLINGS[format_](der)[0]}"


def test_a_format_that_may_be_silent_is_refused(merging: Server, format_: str):
    """A stolen token with the victim's certificate as a trailer is 503 where trailers become headers.

    So is every other request, which tells the deployer at the first one.
    """
    line = certificate_line(format_)
    assert merging.send_with_trailers("/invoices", [BEARER, SECRET], [line])[0] == 503
    assert merging.send("/invoices", BEARER, SECRET, line)[0] == 503
    assert merging.send("/invoices", BEARER, SECRET)[0] == 503
    assert merging.send("/invoices")[0] == 503
    assert "start uvicorn with --http h11" in merging.log.read_text()


def test_a_trailer_is_no_certificate(apart: Server, format_: str):
    """The victim's certificate is none as a trailer, and one as a header, where trailers stand apart."""
    line, none = certificate_line(format_), ["Client-Cert: ::"] if format_ == "rfc9440" else []
    assert apart.send_with_trailers("/invoices", [BEARER, SECRET, *none], [line])[0] in (400, 401)
    assert apart.send_with_trailers("/invoices", [BEARER, SECRET, line], [certificate_line(format_, OTHER)])[
        0
    ] in (
        200,
        400,
    )
    assert apart.send("/invoices", BEARER, SECRET, line)[0] == 200


@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a guard of a format that always speaks on a server that shows trailers as headers."""
    folder = tmp_path_factory.mktemp("speaking")
    with running("uvicorn", "tcp", folder, proxy={**PROXY, "format": "haproxy"}, http="httptools") as server:
        yield server


VALUE = SPELLINGS["haproxy"](HOLDER)[0]
SMUGGLED = {
    "a certificate beside none": (["Clientcert: none", SECRET, BEARER], [f"Clientcert: {VALUE}"], 400),
    "a certificate beside another": (
        [f"Clientcert: {SPELLINGS['haproxy'](OTHER)[0]}", SECRET, BEARER],
        [f"Clientcert: {VALUE}"],
        400,
    ),
    "the same one twice": ([f"Clientcert: {VALUE}", SECRET, BEARER], [f"clientcert: {VALUE}"], 400),
    "an alias": (["Clientcert: none", SECRET, BEARER], [f"Client_cert: {VALUE}"], 401),
    "a second token": ([f"Clientcert: {VALUE}", SECRET, BEARER], [BEARER], 400),
    "a token beside a password": (
        [f"Clientcert: {VALUE}", SECRET, "Authorization: Basic eDp5"],
        [BEARER],
        400,
    ),
    "a second secret": ([f"Clientcert: {VALUE}", SECRET, BEARER], [SECRET], 401),
    "a wrong secret": ([f"Clientcert: {VALUE}", SECRET, BEARER], ["Proxysecret: x"], 401),
    "another trailer": ([f"Clientcert: {VALUE}", SECRET, BEARER], ["Digest: x"], 200),
}


@pytest.mark.parametrize(("lines", "trailers", "status"), SMUGGLED.values(), ids=SMUGGLED)
def test_a_trailer_beside_a_header_is_two_values(
    speaking: Server, lines: list[str], trailers: list[str], status: int
):
    """A trailer beside a header of its name is a second value where trailers become headers."""
    assert speaking.send_with_trailers("/invoices", lines, trailers)[0] == status


@pytest.mark.parametrize("name", APART)
def test_a_token_as_a_trailer_is_none(tmp_path: Path, name: str):
    """A token that comes as a trailer authenticates no request where trailers stand apart."""
    server_name, options = APART[name]
    with running(server_name, "tcp", tmp_path, proxy={**PROXY, "format": "haproxy"}, **options) as server:
        lines = [f"Clientcert: {VALUE}", SECRET]
        assert server.send_with_trailers("/invoices", lines, [BEARER])[0] in (400, 401)
        assert server.send_with_trailers("/invoices", [*lines, BEARER], ["Digest: x"])[0] == 200


HANDSHAKE = (
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Transfer-Encoding: chunked",
)


def test_a_handshake_has_no_trailers(tmp_path: Path):
    """A trailer of a WebSocket's handshake is no header of it: here no word of the proxy's."""
    options = {"http": "httptools", "ws": "wsproto"}
    with running("uvicorn", "tcp", tmp_path, proxy={**PROXY, "format": "haproxy"}, **options) as server:
        head = [
            "GET /invoices HTTP/1.1",
            "Host: localhost",
            "Connection: Upgrade",
            *HANDSHAKE,
            BEARER,
            SECRET,
        ]
        raw = "\r\n".join([*head, "", "0", f"Clientcert: {VALUE}", "", ""]).encode()
        with server.connect() as sock:
            sock.sendall(raw)
            assert sock.recv(65_536).startswith(b"HTTP/1.1 503 ")
