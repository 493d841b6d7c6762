"""Caveats about the request: every adapter reads the same request as the application it guards."""

import pytest

from macaroon_cbat.macaroon.caveats import ClientAddress, Method, PathPrefix, TargetUri
from tests.support.guarded_app import WELL_KNOWN, bound
from tests.support.tokens import appended

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


SPELLED = {
    "json.dumps": (b'{"path": "/files", "htm": ["GET", "HEAD"]}', 200),
    "PHP": (b'{"htu":"https:\\/\\/api.example\\/files\\/7"}', 200),
    "Go's line end": (b'{"path":"/files"}\n', 200),
    "one member not met": (b'{"path": "/files", "htm": "POST"}', 401),
    "another member unknown": (b'{"path": "/files", "tenant": 7}', 401),
    "a repeated key, escaped": (b'{"path":"/other","p\\u0061th":"/files"}', 401),
    "a trailing comma": (b'{"path":"/files",}', 401),
}


@pytest.mark.parametrize(("text", "status"), SPELLED.values(), ids=SPELLED)
def test_a_caveat_of_another_library_is_read_by_its_value(adapter, guarded, text, status):
    """Each member of a caveat that another library spelled in its own way restricts, at every adapter."""
    assert adapter.call(guarded, appended(bound(), text), path="/files/7").status == status


def test_a_path_that_is_not_utf_8_needs_no_caveat_about_it(adapter, guarded):
    """A token without a caveat about the path may be used for a path that is not UTF-8."""
    assert adapter.call(guarded, bound(), path="/files/%FF").status == 200


@pytest.mark.parametrize("root", ["/v1", "/a/b", "/files"])
def test_the_mount_point_is_part_of_the_path(adapter, root):
    """Caveats name the whole path where the deployment mounts the application below one, and says so."""
    whole, guarded = f"{root}/files/7", adapter.make(root_path=root)
    for caveat, status in ((PathPrefix(whole), 200), (PathPrefix("/files/7"), 401)):
        assert adapter.call(guarded, bound(caveat), path="/files/7", root=root).status == status
    assert adapter.call(guarded, path=WELL_KNOWN, root=root).status == 200


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("HEAD", 401), ("POST", 401), ("OPTIONS", 401)])
def test_htm_is_the_request_s_method(adapter, guarded, method, status):
    """An htm caveat allows its method and no other; HEAD is not GET, and no header overrides it."""
    headers = [("X-HTTP-Method-Override", "GET")]
    reply = adapter.call(guarded, bound(Method("GET")), method=method, headers=headers)
    assert reply.status == status


def test_ip_is_the_connection_s_own_address(adapter, guarded):
    """An ip caveat is judged by the connection's own address, which no ASGI server is measured to show."""
    is_shown = adapter.send.__name__ == "through_wsgi"
    text = bound(ClientAddress("192.0.2.0/24"))
    assert adapter.call(guarded, text).status == (200 if is_shown else 401)
    headers = [("X-Forwarded-For", "192.0.2.7"), ("Forwarded", "for=192.0.2.7")]
    assert adapter.call(guarded, text, address="198.51.100.9", headers=headers).status == 401
    assert adapter.call(guarded, text, unix=True, headers=headers).status == 401


UNKNOWN = {"not UTF-8": {"path": "/files/%FF"}, "under a foreign prefix": {"path": "/files/7", "root": "/v1"}}


@pytest.mark.parametrize("caveat", [PathPrefix("/"), TargetUri("https://api.example/")], ids=["path", "htu"])
@pytest.mark.parametrize("asked", UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_path_is_not_the_root(adapter, guarded, asked, caveat):
    """A path that is not known is no path at all: not even a caveat about / is met by it."""
    assert adapter.call(guarded, bound(caveat), **asked).status == 401


HOSTS = [
    ("Host", "api.example"),
    ("X-Forwarded-Host", "api.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Port", "443"),
    ("Forwarded", "host=api.example;proto=https"),
]


@pytest.mark.parametrize(
    "shown", [{}, {"scheme": "http", "server": ("evil.example", 80)}], ids=["", "forged"]
)
def test_htu_takes_no_host_from_the_request(adapter, shown):
    """Scheme, host and port of an htu caveat are the guard's origin's, whatever the request says."""
    changed = {"wsgi.url_scheme": "http", "HTTP_HOST": "evil.example", "SERVER_NAME": "evil.example"}
    is_wsgi = adapter.send.__name__ == "through_wsgi"
    came = {"path": "/files/7", "shown": changed if is_wsgi and shown else {} if is_wsgi else shown}
    here, there = (bound(TargetUri(f"https://{host}/files/7")) for host in ("api.example", "other.example"))
    assert adapter.call(adapter.make(), here, **came).status == 200
    assert adapter.call(adapter.make(origin="https://other.example"), there, **came).status == 200
    assert (
        adapter.call(adapter.make(origin="https://other.example"), here, headers=HOSTS[1:], **came).status
        == 401
    )


NOT_METHODS = ["delete", "Delete", "dELETE", "get", "G ET", "GET,POST", "G\tET", "", "-GET", "GET_", "G" * 33]


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
@pytest.mark.parametrize("method", NOT_METHODS)
def test_a_method_in_other_letters_is_refused(adapter, guarded, method):
    """A method that is not in capital letters, which frameworks dispatch as one that is, is refused."""
    for text in (bound(), bound(Method(method.upper()) if method.isalpha() else Method("GET"))):
        try:
            reply = adapter.call(guarded, text, method=method)
        except AssertionError:  # the validator of PEP 3333 takes some of them for no request
            continue
        assert (reply.status, "billing" in reply.body.decode()) in {(400, False), (405, False)}


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_other_methods_in_capitals_are_judged(adapter, guarded):
    """A method that the guard never heard of is judged as any: by its own name, in capital letters."""
    for method in ("PROPFIND", "M-SEARCH"):
        assert adapter.call(guarded, bound(Method("GET")), method=method).status in (401, 405)


def behind(adapter, app, change):
    """Put a middleware before the guard, which changes what the request says."""
    if adapter.send.__name__ == "through_wsgi":
        return lambda environ, start_response: app(change(environ), start_response)

    async def around(scope, receive, send):
        await app(change(scope), receive, send)

    return around


def overriding(request):
    """Take the method of a header, as middlewares do that override it."""
    return {**request, "REQUEST_METHOD": "POST", "method": "POST"}


def rewriting(request):
    """Take the path of a header, as middlewares do that read X-Original-URL."""
    return {**request, "PATH_INFO": "/files/8", "path": "/files/8", "raw_path": b"/files/8"}


def test_a_method_that_a_middleware_overrides_is_judged(adapter, guarded):
    """Behind a middleware that overrides the method, htm is judged by what the framework then dispatches."""
    app = behind(adapter, guarded, overriding)
    headers = [("X-HTTP-Method-Override", "POST")]
    for method, status in (("POST", 200), ("GET", 401)):
        assert adapter.call(app, bound(Method(method)), method="GET", headers=headers).status == status


def test_a_path_that_a_middleware_rewrites_is_judged(adapter, guarded):
    """Behind a middleware that rewrites the path, path and htu are judged by what is then routed."""
    app = behind(adapter, guarded, rewriting)
    headers = [("X-Original-Url", "/files/8"), ("X-Rewrite-Url", "/files/8")]
    for path, status in (("/files/8", 200), ("/files/7", 401)):
        for caveat in (PathPrefix(path), TargetUri(f"https://api.example{path}")):
            assert adapter.call(app, bound(caveat), path="/files/7", headers=headers).status == status
