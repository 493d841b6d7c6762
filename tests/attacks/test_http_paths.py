"""A path caveat holds against every spelling of another path that a client can send."""

import pytest

from macaroon_cbat.macaroon.caveats import ClientAddress, PathPrefix, TargetUri
from tests.support.refusals import assert_passes, assert_refused
from tests.support.target import Target
from tests.support.tls_servers import Answer, speak

ESCAPES = (
    "/admin",
    "//admin",
    "/invoices/../admin",
    "/invoices/%2e%2e/admin",
    "/invoices/%2E%2E/admin",
    "/invoices/.%2e/admin",
    "/invoices/%252e%252e/admin",
    "/invoices/..%2fadmin",
    "/invoices/..%5cadmin",
    "/invoices/..\\admin",
    "/invoices/..;/admin",
    "/invoices/..;x=y/admin",
    "/invoices//../admin",
    "/invoices/./../admin",
    "/invoices/%00/../admin",
    "/invoices/%c0%ae%c0%ae/admin",
    "https://localhost/admin",
    "https://localhost/invoices/../admin",
)


def raw(target: Target, text: str, uri: str, *lines: str, host: str = "localhost") -> Answer:
    """Send this very request line over the holder's connection."""
    head = "".join(f"{line}\r\n" for line in (f"Host: {host}", *lines, f"Authorization: Bearer {text}"))
    with target.server.connect(target.server.context(target.holder)) as connection:
        return speak(connection, f"GET {uri} HTTP/1.1\r\n{head}\r\n".encode())


@pytest.mark.parametrize("uri", ESCAPES)
def test_no_path_leads_out(target: Target, uri: str):
    """A token for /invoices opens nothing else, and no path that a server could read as another one."""
    text = target.bound(PathPrefix("/invoices"))
    assert_passes(raw(target, text, "/invoices/7"))
    assert raw(target, text, uri).status in (308, 400, 401, 404)
    assert raw(target, text, uri, "X-Original-URL: /invoices/7", "X-Rewrite-URL: /invoices/7").status != 200


@pytest.mark.parametrize("host", ["localhost", "evil.example", "evil.example:443", "[::1]"])
def test_the_host_header_chooses_nothing(target: Target, host: str):
    """A token for another origin is refused, whatever Host the request names; one for ours is not."""
    ours = TargetUri(f"https://localhost:{target.server.port}/invoices/7")
    theirs = TargetUri("https://evil.example/invoices/7")
    head = (f"X-Forwarded-Host: {host}", "X-Forwarded-Proto: https", f"Forwarded: host={host};proto=https")
    for uri in ("/invoices/7", f"https://{host}/invoices/7"):
        assert_passes(raw(target, target.bound(ours), uri, *head, host=host))
        assert_refused(raw(target, target.bound(theirs), uri, *head, host=host))
    assert raw(target, target.bound(ours), "https://another.example/invoices/7", host=host).status == 400


def test_a_forwarding_header_is_no_address(target: Target):
    """An ip caveat is about the connection: no header puts the client elsewhere."""
    lines = ("X-Forwarded-For: 10.1.2.3", "Forwarded: for=10.1.2.3", "X-Real-IP: 10.1.2.3")
    assert_refused(raw(target, target.bound(ClientAddress("10.0.0.0/8")), "/invoices", *lines))
    assert_passes(raw(target, target.bound(ClientAddress("127.0.0.0/8")), "/invoices", *lines))
