"""The header source, which judges no trust: only a caller that has judged it may use it."""

import pytest

from macaroon_cbat.certificate.asgi_connection import AsgiConnection, AsgiServer
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.header_source import HeaderSource
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.errors import ProxyMisconfigured, SettingsError
from tests.support.tokens import CERTIFICATE

FIELDS = [(b"Clientcertx5t", CERTIFICATE.encode())]


def from_anywhere() -> RawConnection:
    return RawConnection(FIELDS, address="203.0.113.9", is_unix_socket=False)


def test_it_believes_every_sender():
    """The bare source returns what any sender wrote; Forwarded ignores the same header of the same sender."""
    assert HeaderSource("haproxy-sha256")(from_anywhere()).thumbprint == CERTIFICATE
    ignored = Forwarded("haproxy-sha256", trust=trusted_proxies(["10.0.0.0/8"]))(from_anywhere())
    assert (ignored.thumbprint, ignored.ignored is not None) == (None, True)


def test_it_vouches_for_no_address():
    """Only Forwarded, which has judged the sender, says that the proxy's word about the address counts."""
    assert not HeaderSource("haproxy-sha256")(from_anywhere()).is_from_proxy
    trusting = Forwarded("haproxy-sha256", trust=trusted_proxies(["203.0.113.0/24"]))
    assert trusting(from_anywhere()).is_from_proxy


@pytest.mark.parametrize("name", ["envoy", "traefik", "rfc9440", "kong"])
def test_a_silent_format_is_refused_on_a_server_that_merges_trailers(name: str):
    """A server that may show a trailer as the proxy's missing header has no request judged."""
    server = AsgiServer(merges_trailers=True)
    connection = AsgiConnection({"headers": [], "type": "http"}, lambda: server)
    with pytest.raises(ProxyMisconfigured, match="trailers"):
        HeaderSource(name)(connection)


@pytest.mark.parametrize(
    ("format_", "options"),
    [("haproxi", {}), ("haproxy", {"header": "Client_Cert"}), ("haproxy", {"header": "Proxysecret"})],
    ids=["format", "underscore", "secret"],
)
def test_mistakes_are_said_at_once(format_: str, options: dict[str, str]):
    """An unknown format and a name that is no header of its own are SettingsErrors."""
    with pytest.raises(SettingsError):
        HeaderSource(format_, **options)
