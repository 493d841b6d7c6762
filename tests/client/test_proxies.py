"""Proxies that the environment names: the tunnel carries TLS from end to end, child and certificate agree."""

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.errors import Unavailable
from tests.support.client_files import Pair, make_token
from tests.support.connect_proxy import connect_proxy
from tests.support.sessions import session_of
from tests.support.token_server import Server


def test_a_token_is_fetched_through_the_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TokenClient opens a tunnel with the proxy's user and password, and the proxy sees TLS alone."""
    with connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        server.client("proxied")()
    monkeypatch.delenv("HTTPS_PROXY")
    lines = proxy.heads[0].split("\r\n")
    assert lines[0] == f"CONNECT localhost:{server.port} HTTP/1.1"
    assert "Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk" in lines
    assert proxy.passed.startswith(b"\x16\x03"), "a TLS handshake"
    assert len(server.asked("proxied")) == 1


def test_no_proxy_is_heeded(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that NO_PROXY lists is reached without the proxy."""
    with connect_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "localhost")
        monkeypatch.setenv("no_proxy", "localhost")
        server.client("unproxied")()
    monkeypatch.delenv("HTTPS_PROXY")
    assert proxy.heads == []


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", b"SSH-2.0-OpenSSH\r\n\r\n", b"x" * 20_000],
    ids=["refuses", "no HTTP", "endless"],
)
def test_a_proxy_without_a_tunnel_is_blamed(
    server: Server, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    """A proxy that opens no tunnel is named in the error, and the service is asked nothing."""
    with connect_proxy() as proxy:
        proxy.answer = answer
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with pytest.raises(Unavailable, match="the proxy that HTTPS_PROXY names gives no way to localhost"):
            server.client("blocked")()
    monkeypatch.delenv("HTTPS_PROXY")
    assert server.asked("blocked") == []


@pytest.mark.parametrize("library", ["requests"])
def test_child_and_connection_agree_through_a_proxy(
    library: str,
    server: Server,
    certificate: ClientCertificate,
    pair: Pair,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through a proxy, too, the server sees the certificate that the child is bound to."""
    with connect_proxy() as proxy, session_of(library, make_token(), certificate, server.ca) as send:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert send("GET", server.url("/api")).json()["certificate"] == pair.thumbprint
        assert len(proxy.heads) == 1


def test_child_and_connection_agree_through_a_proxy_of_aiohttp(
    server: Server, certificate: ClientCertificate, pair: Pair
) -> None:
    """The same holds for the proxy that a request of aiohttp names."""
    with connect_proxy() as proxy, session_of("aiohttp", make_token(), certificate, server.ca) as send:
        seen = send("GET", server.url("/api"), proxy=f"http://127.0.0.1:{proxy.port}").json()
        assert seen["certificate"] == pair.thumbprint
        assert len(proxy.heads) == 1
