"""Caveats about the request (htm, htu, path, ip), against requests as a WSGI server hands them over."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.macaroon.caveats import ClientAddress, Method, PathPrefix, TargetUri
from macaroon_cbat.macaroon.keys import audience_keys
from tests.support.guarded_app import CERTIFICATE, bound, call, make_app
from tests.support.tokens import BOUND, ISSUER, ROOT, came_from, signed


def raw(app: Any, text: str, path: str, **environ: Any) -> TestResponse:
    """Call with this very PATH_INFO, percent-decoded as servers hand it over, from an address."""
    settings = {
        "PATH_INFO": path,
        PEER_CERTIFICATE: CERTIFICATE,
        **came_from("192.0.2.7"),
        "HTTP_AUTHORIZATION": f"Bearer {text}",
        **environ,
    }
    return Client(app).open("/", environ_overrides=settings)


METHOD_CASES = {
    "the method": ("GET", "GET", 200),
    "another method": ("POST", "GET", 401),
    "HEAD is not GET": ("GET", "HEAD", 401),
    "one of several": (("GET", "HEAD"), "HEAD", 200),
    "none of several": (("GET", "HEAD"), "PUT", 401),
    "a method is case-sensitive": ("get", "GET", 401),
}


@pytest.mark.parametrize(("allowed", "method", "status"), METHOD_CASES.values(), ids=METHOD_CASES)
def test_htm_is_the_request_s_method(app: Flask, allowed: Any, method: str, status: int):
    """An htm caveat allows its methods and no other."""
    assert call(app, bound(Method(allowed)), method=method).status_code == status


def test_a_method_override_header_does_not_matter(app: Flask):
    """A caveat htm judges the request line, not a header that would override it."""
    headers = [("X-HTTP-Method-Override", "GET")]
    assert call(app, bound(Method("GET")), method="POST", headers=headers).status_code == 401


HTU_CASES = {
    "the target": ("https://api.example/files/7", "/files/7", 200),
    "its default port": ("https://api.example:443/files/7", "/files/7", 200),
    "its host in capitals": ("https://API.Example/files/7", "/files/7", 200),
    "percent-encoded without need": ("https://api.example/f%69les/7", "/files/7", 200),
    "a decoded slash": ("https://api.example/files%2F7", "/files/7", 200),
    "beyond ASCII": ("https://api.example/files/caf%C3%A9", "/files/caf\xc3\xa9", 200),
    "another path": ("https://api.example/files/8", "/files/7", 401),
    "a path in other letters": ("https://api.example/files/a", "/files/A", 401),
    "a slash more": ("https://api.example/files/7/", "/files/7", 401),
    "below it": ("https://api.example/files", "/files/7", 401),
    "another host": ("https://other.example/files/7", "/files/7", 401),
    "another port": ("https://api.example:8443/files/7", "/files/7", 401),
    "another scheme": ("http://api.example/files/7", "/files/7", 401),
    "dot segments of the request": ("https://api.example/files/7", "/files/x/../7", 401),
    "bytes that are not UTF-8": ("https://api.example/files/%EF%BF%BD", "/files/\xff", 401),
    "encoded twice": ("https://api.example/files/7", "/files/%37", 401),
}


@pytest.mark.parametrize(("htu", "path", "status"), HTU_CASES.values(), ids=HTU_CASES)
def test_htu_is_the_request_s_target(app: Flask, htu: str, path: str, status: int):
    """An htu caveat allows its own target and no other (RFC 9449 4.3)."""
    assert raw(app, bound(TargetUri(htu)), path).status_code == status


def test_the_query_does_not_take_part(app: Flask):
    """The request's query is not part of htu (RFC 9449 4.2)."""
    htu = TargetUri("https://api.example/files/7")
    assert raw(app, bound(htu), "/files/7", QUERY_STRING="a=b&htu=x").status_code == 200


PATH_CASES = {
    "the path itself": ("/files", "/files/7", 200),
    "the root": ("/", "/files/7", 200),
    "with a slash at its end": ("/files/", "/files/7", 200),
    "the whole path": ("/files/7", "/files/7", 200),
    "not on a segment boundary": ("/fil", "/files/7", 401),
    "another": ("/other", "/files/7", 401),
    "in other letters": ("/Files", "/files/7", 401),
    "left by dot segments": ("/files/7", "/files/7/../8", 401),
    "left by encoded dot segments": ("/files/7", "/files/7/%2e%2e/8", 401),
    "left by a dot segment with a parameter": ("/files/7", "/files/7/..;/8", 401),
    "left by backslashes": ("/files/7", "/files/7/..\\..\\8", 401),
    "a dot segment": ("/files", "/files/./7", 401),
    "an encoded slash": ("/files", "/files/7%2f8", 401),
    "dots in overlong UTF-8": ("/files", "/files/\xc0\xae\xc0\xae/8", 401),
    "a zero byte": ("/files", "/files/7\0", 401),
}


@pytest.mark.parametrize(("prefix", "path", "status"), PATH_CASES.values(), ids=PATH_CASES)
def test_path_is_a_prefix_on_a_segment_boundary(app: Flask, prefix: str, path: str, status: int):
    """A path caveat allows what is below it, and no path that a server could read as another one."""
    assert raw(app, bound(PathPrefix(prefix)), path).status_code == status


@pytest.mark.parametrize("path", ["//files/7", "/files//7", "///files///7"])
def test_double_slashes_reach_no_view(app: Flask, path: str):
    """A path with an empty segment is never served under a path caveat of another spelling."""
    response = raw(app, bound(PathPrefix("/other")), path)
    assert response.status_code in (308, 401)
    if response.status_code == 308:
        assert raw(app, bound(PathPrefix("/other")), "/files/7").status_code == 401


MOUNTED = {
    "the mounted path": (TargetUri("https://api.example/v1/files/7"), 200),
    "the path inside the application": (TargetUri("https://api.example/files/7"), 401),
    "below the mount": (PathPrefix("/v1/files"), 200),
    "inside the application": (PathPrefix("/files"), 401),
}


@pytest.mark.parametrize(("caveat", "status"), MOUNTED.values(), ids=MOUNTED)
@pytest.mark.parametrize("mount", ["/v1", "/v1/"])
def test_a_mounted_application_is_judged_by_the_whole_path(caveat: Any, status: int, mount: str):
    """Caveats htu and path are about the whole path where the deployment mounts the application below one."""
    site = DispatcherMiddleware(Flask("nothing"), {"/v1": make_app(root_path="/v1")})
    assert raw(site, bound(caveat), "/v1/files/7").status_code == status
    app = make_app(root_path="/v1")
    assert raw(app, bound(caveat), "/files/7", SCRIPT_NAME=mount).status_code == status


@pytest.mark.parametrize("host", ["evil.example", "api.example:8443", "api.example"])
def test_the_host_header_does_not_matter(app: Flask, host: str):
    """A caveat htu is compared with the guard's own origin, whatever Host and its relatives say."""
    forged = {"HTTP_HOST": host, "HTTP_X_FORWARDED_HOST": host, "HTTP_FORWARDED": f"host={host};proto=http"}
    honest, evil = (
        TargetUri("https://api.example/files/7"),
        TargetUri(f"https://{host}:9/files/7".replace(":8443", "")),
    )
    assert raw(app, bound(honest), "/files/7", **forged).status_code == 200
    assert raw(app, bound(evil), "/files/7", **forged).status_code == 401


def test_an_ipv6_origin_is_compared():
    """An audience at an IPv6 address has an origin with brackets, in lower case."""
    audience = "https://[2001:db8::7]:8443"
    app = make_app(keys=audience_keys(ISSUER, audience, [ROOT]))
    key = audience_keys(ISSUER, audience, [ROOT]).keys["k1"]
    htu = TargetUri("https://[2001:db8::7]:8443/files/7")
    assert raw(app, bound(htu, aud=audience, key=key), "/files/7").status_code == 200


def test_without_an_origin_targets_are_refused():
    """Caveats about the target cannot be met where the guard knows no origin."""
    keys = audience_keys(ISSUER, "urn:example:api", [ROOT])
    app = make_app(keys=keys)
    for caveat in (TargetUri("https://api.example/files/7"), PathPrefix("/files")):
        text = bound(caveat, aud="urn:example:api", key=keys.keys["k1"])
        assert raw(app, text, "/files/7").status_code == 401


IP_CASES = {
    "the address": ("192.0.2.7/32", "192.0.2.7", 200),
    "its network": ("192.0.2.0/24", "192.0.2.7", 200),
    "one of several networks": (("10.0.0.0/8", "192.0.2.0/24"), "192.0.2.7", 200),
    "another network": ("10.0.0.0/8", "192.0.2.7", 401),
    "an IPv4-mapped address": ("192.0.2.0/24", "::ffff:192.0.2.7", 200),
    "an IPv4-mapped address of another network": ("10.0.0.0/8", "::ffff:192.0.2.7", 401),
    "an IPv6 address": ("2001:db8::/32", "2001:db8::7", 200),
    "an IPv6 address spelled in full": ("2001:db8::/32", "2001:0DB8:0:0:0:0:0:7", 200),
    "an IPv6 address of another network": ("2001:db8::/32", "2001:db9::7", 401),
    "IPv4 under all of IPv6": ("::/0", "192.0.2.7", 401),
    "a Unix socket": ("0.0.0.0/0", "", 401),
    "a name": ("0.0.0.0/0", "localhost", 401),
    "no address at all": ("0.0.0.0/0", None, 401),
}


@pytest.mark.parametrize(("networks", "address", "status"), IP_CASES.values(), ids=IP_CASES)
def test_ip_is_the_connection_s_address(app: Flask, networks: Any, address: str | None, status: int):
    """An ip caveat allows connections from its networks; a forwarding header never counts."""
    forged = {
        "HTTP_X_FORWARDED_FOR": "10.1.2.3",
        "HTTP_FORWARDED": "for=10.1.2.3",
        "HTTP_X_REAL_IP": "10.1.2.3",
    }
    response = raw(app, bound(ClientAddress(networks)), "/files/7", **came_from(address), **forged)
    assert response.status_code == status


@pytest.mark.parametrize("caveat", [b'{"path":"/files"}', b'{"htm":"GET"}', b'{"ip":"192.0.2.0/24"}'])
def test_two_caveats_both_count(app: Flask, caveat: bytes):
    """Of two caveats of a kind, the second cannot undo the first."""
    contrary = {b"p": b'{"path":"/other"}', b"h": b'{"htm":"PUT"}', b"i": b'{"ip":"10.0.0.0/8"}'}[caveat[2:3]]
    confirming = b'{"cnf":{"x5t#S256":"%s"}}' % BOUND.cnf.thumbprint.encode()
    assert raw(app, signed(confirming, caveat), "/files/7").status_code == 200
    assert raw(app, signed(confirming, caveat, contrary), "/files/7").status_code == 401
    assert raw(app, signed(confirming, contrary, caveat), "/files/7").status_code == 401
