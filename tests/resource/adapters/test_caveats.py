"""Caveats about the request: every adapter reads the same request as the application it guards."""

import pytest

from macaroon_cbat.caveats import ClientAddress, Method, PathPrefix, TargetUri
from tests.resource.material import WELL_KNOWN, bound

HTU = {
    "the target": ("https://api.example/files/7", "/files/7", 200),
    "its default port": ("https://api.example:443/files/7", "/files/7", 200),
    "percent-encoded in the caveat": ("https://api.example/f%69les/7", "/files/7", 200),
    "percent-encoded in the request": ("https://api.example/files/7", "/f%69les/7", 200),
    "a decoded slash": ("https://api.example/files/a/b", "/files/a%2Fb", 200),
    "beyond ASCII": ("https://api.example/files/caf%C3%A9", "/files/caf%C3%A9", 200),
    "another path": ("https://api.example/files/8", "/files/7", 401),
    "a path in other letters": ("https://api.example/files/a", "/files/A", 401),
    "a slash more": ("https://api.example/files/7/", "/files/7", 401),
    "another host": ("https://other.example/files/7", "/files/7", 401),
    "another scheme": ("http://api.example/files/7", "/files/7", 401),
    "encoded twice": ("https://api.example/files/7", "/files/%2537", 401),
    "bytes that are not UTF-8": ("https://api.example/files/%EF%BF%BD", "/files/%FF", 401),
    "bytes that are not UTF-8, as Django spells them": ("https://api.example/files/%25FF", "/files/%FF", 401),
    "half a character": ("https://api.example/files/%EF%BF%BD", "/files/caf%C3", 401),
}
PREFIX = {
    "the path itself": ("/files", "/files/7", 200),
    "the root": ("/", "/files/7", 200),
    "not on a segment boundary": ("/fil", "/files/7", 401),
    "left by dot segments": ("/files/7", "/files/7/../8", 401),
    "left by encoded dot segments": ("/files/7", "/files/7/%2e%2e/8", 401),
    "left by an encoded slash": ("/files/7", "/files/7%2f..%2f8", 401),
    "left by dot segments encoded twice": ("/files/7", "/files/7/%252e%252e/8", 401),
    "left by backslashes": ("/files/7", "/files/7/..%5c..%5c8", 401),
    "bytes that are not UTF-8": ("/files", "/files/%FF", 401),
    "an overlong encoding of a slash": ("/files/7", "/files/7/%C0%AF", 401),
}


@pytest.mark.parametrize(("htu", "path", "status"), HTU.values(), ids=HTU)
def test_htu_is_the_request_s_target(adapter, guarded, htu, path, status):
    """An htu caveat allows its own target and no other (RFC 9449 4.3)."""
    assert adapter.call(guarded, bound(TargetUri(htu)), path=path).status == status


@pytest.mark.parametrize(("prefix", "path", "status"), PREFIX.values(), ids=PREFIX)
def test_path_is_a_prefix_on_a_segment_boundary(adapter, guarded, prefix, path, status):
    """A path caveat allows its path and what lies below, as the application routes it."""
    assert adapter.call(guarded, bound(PathPrefix(prefix)), path=path).status == status


def test_a_path_that_is_not_utf_8_needs_no_caveat_about_it(adapter, guarded):
    """Where no caveat speaks of the path, any path may be asked for."""
    assert adapter.call(guarded, bound(), path="/files/%FF").status == 200


@pytest.mark.parametrize("root", ["/v1", "/a/b", "/files"])
def test_the_mount_point_is_part_of_the_path(adapter, guarded, root):
    """Where the server mounts the application below a path, caveats name the whole path."""
    whole = f"{root}/files/7"
    for caveat, status in ((PathPrefix(whole), 200), (PathPrefix("/files/7"), 401)):
        assert adapter.call(guarded, bound(caveat), path="/files/7", root=root).status == status
    assert adapter.call(guarded, path=WELL_KNOWN, root=root).status == 200


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 401), ("POST", 401), ("OPTIONS", 401)])
def test_htm_is_the_request_s_method(adapter, guarded, method, status):
    """An htm caveat allows its method and no other; HEAD is not GET, and no header overrides it."""
    headers = [("X-HTTP-Method-Override", "GET")]
    reply = adapter.call(guarded, bound(Method("GET")), method=method, headers=headers)
    assert reply.status == status


def test_ip_is_the_address_that_the_server_shows(adapter, guarded):
    """An ip caveat is judged by the address that the server shows, and by no header."""
    text = bound(ClientAddress("192.0.2.0/24"))
    assert adapter.call(guarded, text).status == 200
    headers = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")]
    assert adapter.call(guarded, text, address="198.51.100.9", headers=headers).status == 401
    assert adapter.call(guarded, text, unix=True, headers=headers).status == 401
