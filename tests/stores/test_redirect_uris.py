"""Redirect URIs: exact, with the loopback exception of RFC 8252 7.3, and no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.stores.redirect_uris import is_private, is_redirect, redirect_mistake

WEB = "https://app.example/callback"

REGISTRABLE = {
    "a web application": WEB,
    "a web application with a port and a query": "https://app.example:8443/callback?tenant=7",
    "a web application without a path": "https://app.example",
    "an IPv6 host": "https://[2001:db8::1]/callback",
    "a punycode host": "https://xn--bcher-kva.example/callback",
    "the IPv4 loopback": "http://127.0.0.1/callback",
    "the IPv4 loopback with a port": "http://127.0.0.1:8080/callback",
    "the IPv6 loopback": "http://[::1]/callback",
    "localhost": "http://localhost:8080/callback",
    "a private-use scheme": "com.example.app:/callback",
    "a private-use scheme with slashes": "com.example.app://callback",
}
NOT_REGISTRABLE = {
    "empty": "",
    "http": "http://app.example/callback",
    "a name that begins as localhost": "http://localhost.evil.example/callback",
    "localhost in capitals": "http://LOCALHOST/callback",
    "another loopback address": "http://127.0.0.2/callback",
    "a name that begins as the loopback": "http://127.0.0.1.evil.example/callback",
    "the loopback as a user": "http://127.0.0.1@evil.example/callback",
    "the loopback with an empty port": "http://127.0.0.1:/callback",
    "the loopback with a port out of range": "http://127.0.0.1:65536/callback",
    "a capital scheme": "HTTPS://app.example/callback",
    "a fragment": WEB + "#",
    "a user": "https://user@app.example/callback",
    "a backslash": "https://app.example\\@evil.example/callback",
    "a dot segment": "https://app.example/a/../callback",
    "an encoded dot segment": "https://app.example/a/%2e%2e/callback",
    "an empty segment": "https://app.example//callback",
    "a wildcard host": "https://*.app.example/callback",
    "a name of another script": "https://bücher.example/callback",
    "white space": "https://app.example/call back",
    "a line end": WEB + "\r\nSet-Cookie: a=b",
    "a trailing line end": WEB + "\n",
    "a quote": 'https://app.example/"onload="',
    "a stray percent sign": "https://app.example/%zz",
    "a script": "javascript:alert(1)",
    "a script with a dot in it": "javascript:alert.call(1)",
    "a document": "data:text/html,a.b",
    "a scheme without a dot": "myapp:/callback",
    "a private-use scheme without a path": "com.example.app:callback",
    "a private-use scheme in capitals": "com.Example.app:/callback",
    "a private-use scheme with a dot segment": "com.example.app:/a/../b",
    "a private-use scheme with a fragment": "com.example.app:/callback#x",
    "an out-of-band URN": "urn:ietf:wg:oauth:2.0:oob",
    "very long": "https://app.example/" + "a" * 2000,
}
NEARLY = {
    "another path": WEB + "/more",
    "a slash at the end": WEB + "/",
    "a path in other case": "https://app.example/Callback",
    "a host in other case": "https://APP.example/callback",
    "a scheme in other case": "HTTPS://app.example/callback",
    "another scheme": "http://app.example/callback",
    "a port that is the default": "https://app.example:443/callback",
    "another port": "https://app.example:8443/callback",
    "a user": "https://app.example@evil.example/callback",
    "a subdomain": "https://evil.app.example/callback",
    "a longer domain": "https://app.example.evil.example/callback",
    "a domain with a dot at the end": "https://app.example./callback",
    "an extra query": WEB + "?next=https://evil.example",
    "an empty query": WEB + "?",
    "a fragment": WEB + "#@evil.example",
    "path traversal": "https://app.example/callback/../open",
    "encoded path traversal": "https://app.example/callback/%2e%2e/open",
    "a letter percent-encoded": "https://app.example/%63allback",
    "a backslash": "https://app.example\\.evil.example/callback",
    "a semicolon": WEB + ";a=b",
    "punycode": "https://xn--app-ple.example/callback",
    "a look-alike letter": "https://\u0430pp.example/callback",
    "a line end": WEB + "\n",
    "a null": WEB + "\0",
    "a tab": "https://app.example\t/callback",
}


@pytest.mark.parametrize("uri", REGISTRABLE.values(), ids=REGISTRABLE)
def test_a_redirect_uri_is_registrable_and_is_itself(uri):
    """A URI of https, of the loopback or of a scheme with a domain may be registered, and equals itself."""
    assert redirect_mistake(uri) is None
    assert is_redirect(uri, uri)


@pytest.mark.parametrize("uri", NOT_REGISTRABLE.values(), ids=NOT_REGISTRABLE)
def test_a_dangerous_redirect_uri_is_no_redirect(uri):
    """A URI that browsers read in two ways, or another program can take, matches not even itself."""
    assert redirect_mistake(uri)
    assert not is_redirect(uri, uri)


@pytest.mark.parametrize(
    "requested", ["http://localhost/cb", "http://localhost:1/cb", "http://127.0.0.1:8080/cb"]
)
def test_the_port_of_localhost_is_not_free(requested):
    """`localhost` is a name and no loopback address (RFC 8252 8.3): it is compared as any name is."""
    assert not is_redirect("http://localhost:8080/cb", requested)


@pytest.mark.parametrize("uri", NEARLY.values(), ids=NEARLY)
def test_a_nearly_registered_uri_is_another(uri):
    """A redirect URI is compared character by character (RFC 9700 2.1)."""
    assert not is_redirect(WEB, uri)


@pytest.mark.parametrize(
    "requested", ["http://127.0.0.1/cb", "http://127.0.0.1:1/cb", "http://127.0.0.1:65535/cb"]
)
@pytest.mark.parametrize("registered", ["http://127.0.0.1/cb", "http://127.0.0.1:8080/cb"])
def test_the_port_of_a_loopback_uri_is_free(registered, requested):
    """A native application may listen on any port of the loopback address (RFC 8252 7.3)."""
    assert is_redirect(registered, requested)


@pytest.mark.parametrize(
    "requested",
    [
        pytest.param("http://[::1]:8080/cb", id="the other loopback"),
        pytest.param("http://localhost:8080/cb", id="the name of it"),
        pytest.param("https://127.0.0.1:8080/cb", id="another scheme"),
        pytest.param("http://127.0.0.1:8080/cb/", id="another path"),
        pytest.param("http://127.0.0.1:8080/cb?x=1", id="an extra query"),
        pytest.param("http://127.0.0.1:8080", id="no path"),
        pytest.param("http://127.0.0.1:8080@evil.example/cb", id="the loopback as a user"),
        pytest.param("http://127.1:8080/cb", id="another spelling of the address"),
        pytest.param("http://2130706433:8080/cb", id="the address as a number"),
        pytest.param("http://127.0.0.1:08080/cb", id="another spelling of the port"),
        pytest.param("http://127.0.0.1:99999/cb", id="no port"),
    ],
)
def test_all_else_of_a_loopback_uri_is_exact(requested):
    """The port is the only part of a loopback URI that is free."""
    assert not is_redirect("http://127.0.0.1:8080/cb", requested)


def test_the_port_of_a_web_application_is_exact():
    """The loopback exception is for literal loopback addresses under http alone."""
    assert not is_redirect("https://127.0.0.1/cb", "https://127.0.0.1:8080/cb")
    assert not is_redirect("https://app.example/cb", "https://app.example:8080/cb")


@pytest.mark.parametrize("registered", [uri for uri in NOT_REGISTRABLE.values() if uri])
def test_a_badly_registered_uri_matches_nothing(registered):
    """A row of the database that no registration would write opens no redirect."""
    assert not is_redirect(registered, registered)
    assert not is_redirect(registered, WEB)


@pytest.mark.parametrize(
    ("uri", "private"),
    [(WEB, False), ("http://127.0.0.1/cb", True), ("http://[::1]/cb", True), ("com.example.app:/cb", True)],
)
def test_a_redirect_that_any_application_may_take_is_private(uri, private):
    """A loopback or private-use redirect does not prove the client (RFC 8252 8.6)."""
    assert is_private(uri) is private


PIECES = st.sampled_from(
    [*"abc/:@?#&=.%\\[] \n", "//", "..", "%2e", "https", "http", "127.0.0.1", "app.example"]
)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)), st.integers(0, len(WEB)))
def test_nothing_but_the_registered_uri_matches(text, place):
    """A URI that an attacker writes around parts of a registered one matches only if it equals that."""
    for requested in (text, WEB[:place] + text + WEB[place:], WEB[:place] + text, text + WEB[place:]):
        assert is_redirect(WEB, requested) == (requested == WEB)
