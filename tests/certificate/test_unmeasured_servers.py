"""Servers that were not measured to show the connection's own address, or to keep trailers apart."""

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.errors import ProxyMisconfigured
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

UNMEASURED = {
    "no server that is known": {"REMOTE_ADDR": "10.0.0.7"},
    "nothing at all": {},
    "uvicorn's WSGI, a2wsgi, Starlette's": {"REMOTE_ADDR": "10.0.0.7", "asgi.scope": {}},
    "uWSGI": {"REMOTE_ADDR": "10.0.0.7", "uwsgi.version": b"2.0.31", "SERVER_SOFTWARE": "waitress"},
    "mod_wsgi": {"REMOTE_ADDR": "10.0.0.7", "mod_wsgi.version": (4, 9, 4)},
    "wsgiref": {"REMOTE_ADDR": "10.0.0.7", "SERVER_SOFTWARE": "WSGIServer/0.2"},
    "text in the place of an object": {"REMOTE_ADDR": "10.0.0.7", "gunicorn.socket": "socket"},
}


@pytest.mark.parametrize(
    "trust", [["10.0.0.0/8"], ["unix", "10.0.0.0/8"], [f"x5t#S256={x5t(PROXY)}", "10.0.0.7"]]
)
@pytest.mark.parametrize("environ", UNMEASURED.values(), ids=UNMEASURED)
def test_a_network_is_no_trust_on_a_server_that_was_not_measured(environ, trust):
    """Trust by network fails every request where the connection's own address cannot be told."""
    source = Forwarded("haproxy", trust=trusted_proxies(trust, secret=SECRET))
    for sent in ({}, CLIENTCERT, SHOWS_SECRET, CLIENTCERT | SHOWS_SECRET, {PEER_CERTIFICATE: PROXY}):
        with pytest.raises(
            ProxyMisconfigured, match=r"Unix socket \(unix\), its secret \(secret\) or its certif"
        ):
            source(connection_of(environ, sent))


@pytest.mark.parametrize("environ", UNMEASURED.values(), ids=UNMEASURED)
def test_what_needs_no_address_works_everywhere(environ):
    """Without networks a stranger's header is ignored, and the proxy's certificate or secret is believed."""
    ways = [f"x5t#S256={x5t(PROXY)}", "unix"]
    source = Forwarded("haproxy", trust=trusted_proxies(ways))
    assert "an unknown address" in (source(connection_of(environ, CLIENTCERT)).ignored or "")
    assert source(connection_of(environ, CLIENTCERT, {PEER_CERTIFICATE: PROXY})) == vouched(HOLDER)
    source = Forwarded("haproxy", trust=trusted_proxies(["secret"], secret=SECRET))
    assert source(connection_of(environ, CLIENTCERT, SHOWS_SECRET)) == vouched(HOLDER)
    assert "without the proxy's secret" in (source(connection_of(environ, CLIENTCERT)).ignored or "")


@pytest.mark.parametrize("environ", UNMEASURED.values(), ids=UNMEASURED)
def test_a_silent_format_is_not_safe_where_trailers_may_be_headers(environ):
    """On a server that may show trailers as headers, a format that says none by silence is misconfigured."""
    trust = trusted_proxies(["secret"], secret=SECRET)
    source = Forwarded("traefik", trust=trust, header="Chain")
    value = SPELLINGS["traefik"](HOLDER)[0]
    for sent in ({}, SHOWS_SECRET, SHOWS_SECRET | {"HTTP_CHAIN": value}):
        with pytest.raises(ProxyMisconfigured, match="--http h11"):
            source(connection_of(environ, sent))
    assert source(connection_of(UNIX, SHOWS_SECRET, {"HTTP_CHAIN": value})) == vouched(HOLDER)
