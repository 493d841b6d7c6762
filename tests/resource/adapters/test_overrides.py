"""Headers by which an application behind the guard takes another path or method undo no caveat about it."""

import pytest

from macaroon_cbat.macaroon.caveats import Method, PathPrefix, TargetUri
from macaroon_cbat.resource import asgi, wsgi
from tests.support.adapters import ASYNC, Asked, messages_of, scope_of, through_wsgi
from tests.support.guarded_app import bound
from tests.support.log_lines import line_of
from tests.support.tokens import KEYS, NOW

ABOUT_THE_PATH = [PathPrefix("/files"), TargetUri("https://api.example/files/7")]
OTHER_PATHS = {
    "Pyramid's root": ("X-Vhm-Root", "/invoices"),
    "Pyramid's root, in other letters": ("x-VHM-root", "/invoices"),
    "the root of a neighbour": ("X-Vhm-Root", "/files"),
    "Zope's host": ("X-Vhm-Host", "https://api.example/invoices"),
    "ReverseProxied": ("X-Script-Name", "/files"),
    "daphne": ("Daphne-Root-Path", "/files"),
    "IIS": ("X-Original-URL", "/invoices"),
    "IIS, encoded": ("X-Original-URL", "/files/%38"),
    "ISAPI_Rewrite": ("X-Rewrite-URL", "/invoices?x=/files/7"),
    "an empty path": ("X-Rewrite-URL", ""),
}


@pytest.mark.parametrize("caveat", ABOUT_THE_PATH, ids=["path", "htu"])
@pytest.mark.parametrize("header", OTHER_PATHS.values(), ids=OTHER_PATHS)
def test_a_header_that_names_another_path(adapter, guarded, log, header, caveat):
    """No caveat about the path is met where a header names another than the one judged; the log says so."""
    assert adapter.call(guarded, bound(caveat), path="/files/7").status == 200
    assert adapter.call(guarded, bound(caveat), path="/files/7", headers=[header]).status == 401
    assert f"the path is unknown: {header[0].title()} came as {header[1]!r}" in str(line_of(log)["reason"])


@pytest.mark.parametrize("header", OTHER_PATHS.values(), ids=OTHER_PATHS)
def test_other_tokens_pass_with_it(adapter, guarded, header):
    """A token without a caveat about the path does not mind such a header."""
    for token in (bound(), bound(Method("GET"))):
        assert adapter.call(guarded, token, path="/files/7", headers=[header]).status == 200


SAME_PATH = [
    ("X-Vhm-Root", "/"),
    ("X-Vhm-Root", ""),
    ("X-Original-URL", "/files/%37?x=y"),
    ("X-Rewrite-URL", "/files/7"),
]


@pytest.mark.parametrize("header", SAME_PATH)
def test_a_header_that_names_the_same_path(adapter, guarded, header):
    """A header that says what is judged anyway changes nothing."""
    for caveat in ABOUT_THE_PATH:
        assert adapter.call(guarded, bound(caveat), path="/files/7", headers=[header]).status == 200


@pytest.mark.parametrize(
    ("prefix", "status"), [("/v1", 200), ("/v1/", 200), ("/v2", 401), ("", 401), ("/v1/v1", 401)]
)
def test_the_deployment_s_own_prefix(adapter, prefix, status):
    """A prefix that a header names is the deployment's own, or the path is unknown."""
    app, token = adapter.make(root_path="/v1"), bound(PathPrefix("/v1/files"))
    asked = {"path": "/files/7", "root": "/v1", "headers": [("X-Script-Name", prefix)]}
    assert adapter.call(app, token, **asked).status == status


def test_a_second_header_counts(adapter, guarded):
    """Of several such headers each must say what is judged."""
    headers = [("X-Original-URL", "/files/7"), ("X-Original-URL", "/invoices")]
    for twice in (headers, headers[::-1]):
        assert (
            adapter.call(guarded, bound(PathPrefix("/files")), path="/files/7", headers=twice).status == 401
        )


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
@pytest.mark.parametrize(
    ("value", "status"), [("DELETE", 401), ("delete", 401), ("", 401), ("POST", 200), ("post", 200)]
)
def test_a_header_that_names_another_method(adapter, guarded, name, value, status):
    """No caveat about the method is met where a header names another method than the one judged."""
    asked = {"method": "POST", "headers": [(name, value)]}
    assert adapter.call(guarded, bound(Method(("POST", "DELETE"))), **asked).status == status
    for token in (bound(), bound(PathPrefix("/invoices"))):
        assert adapter.call(guarded, token, **asked).status == 200


@pytest.mark.parametrize("name", ["x_vhm_root", "x-vhm_root", "X_Vhm-Root"])
@pytest.mark.parametrize("framework", ASYNC)
def test_underscores_are_hyphens_to_an_application(framework, name):
    """ASGI keeps names with `_` apart, which an application may read as those with `-`."""
    one = ASYNC[framework]
    asked = {"path": "/files/7", "headers": [(name, "/invoices")]}
    assert one.call(one.make(), bound(PathPrefix("/files")), **asked).status == 401


def test_a_websocket():
    """The handshake of a WebSocket is judged alike."""
    guard = asgi.Guard(keys=KEYS, clock=lambda: NOW)
    headers = (("X-Vhm-Root", "/invoices"), ("Authorization", f"Bearer {bound(PathPrefix('/files'))}"))
    [message] = messages_of(guard.require()(None), scope_of(Asked("/files/7", headers=headers), "websocket"))
    assert message["type"] == "websocket.close"


def traversing(environ, start_response):
    """Serve the resource that Pyramid's traversal finds: below the virtual root that the header names."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ.get("HTTP_X_VHM_ROOT", "") + environ["PATH_INFO"]).encode()]


def test_a_virtual_root_opens_no_other_resource():
    """A token for /public runs no resource below the virtual root that a header names."""
    app = wsgi.Guard(keys=KEYS, clock=lambda: NOW).require("read")(traversing)
    token = ("Authorization", f"Bearer {bound(PathPrefix('/public'))}")
    assert through_wsgi(app, Asked("/public", headers=(token,))).body == b"/public"
    assert through_wsgi(app, Asked("/public", headers=(token, ("X-Vhm-Root", "/invoices")))).status == 401
