"""A prefix of the path, which a header may have written, never decides what a caveat is compared with."""

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import PathPrefix, TargetUri
from macaroon_cbat.resource import asgi, starlette
from macaroon_cbat.resource.paths import whole_path
from macaroon_cbat.resource.settings import make_admission
from tests.support.adapters import ADAPTERS, ASYNC, Asked, through_asgi
from tests.support.guarded_app import bound
from tests.support.log_lines import line_of
from tests.support.tokens import KEYS, NOW

WSGI = {name: one for name, one in ADAPTERS.items() if name not in ASYNC}


def caveats_about(path):
    return [PathPrefix(path), TargetUri(f"https://api.example{path}")]


@pytest.mark.parametrize("root_path", ["", "/v1"])
@pytest.mark.parametrize("prefix", ["/public", "/publi", "/v1/public", "/v12", "/V1", "/v", "//v1"])
def test_a_prefix_that_is_not_the_deployment_s_makes_the_path_unknown(adapter, root_path, prefix):
    """Under a prefix that the deployer did not name, no caveat about the path is met, whichever it names."""
    app = adapter.make(root_path=root_path)
    whole = f"{prefix}/files/7"
    for path in (whole, prefix, "/files/7", f"{root_path}/files/7", "/"):
        if not path.startswith("//"):
            for caveat in caveats_about(path):
                assert adapter.call(app, bound(caveat), path="/files/7", root=prefix).status == 401
    assert adapter.call(app, bound(), path="/files/7", root=prefix).status == 200


def test_a_prefix_that_is_missing_makes_the_path_unknown(adapter):
    """A request that came without the prefix that the deployer named has no known path either."""
    app = adapter.make(root_path="/v1")
    for path in ("/v1/files/7", "/files/7", "/v1"):
        assert adapter.call(app, bound(PathPrefix(path)), path="/files/7").status == 401


def test_the_log_says_why(adapter, log):
    """One clear line in the log, and the audit line, say which prefix came and which one is the guard's."""
    caveat = bound(PathPrefix("/public"))
    reply = adapter.call(adapter.make(root_path="/v1"), caveat, path="/files/7", root="/public")
    assert reply.status == 401
    lines = [one.getMessage() for one in log.records if one.name == "macaroon_cbat.resource"]
    name = "root_path" if adapter in (ASYNC["ASGI"], ASYNC["Starlette"], ASYNC["FastAPI"]) else "SCRIPT_NAME"
    why = (
        f"the path is unknown: {name} is '/public', where the guard's root_path is '/v1': a header may have "
        "said so; set root_path only to where the deployment itself mounts the application"
    )
    assert lines == [why]
    assert lines[0] in str(line_of(log)["reason"])


def test_a_prefix_forges_no_log_line(adapter, log):
    """Line ends in a prefix, and whatever else, are escaped in the log and cut short."""
    root = "/a\nforged" + "x" * 1000
    adapter.call(adapter.make(), bound(PathPrefix("/a")), path="/files/7", root=root)
    [line] = [one.getMessage() for one in log.records if one.name == "macaroon_cbat.resource"]
    assert "\n" not in line
    assert len(line) < 500


@pytest.mark.parametrize("root_path", ["v1", "/v1/", "/", "//", "/a/../b", "/a//b", "https://api.example/v1"])
def test_an_unusable_root_path_is_refused(adapter, root_path):
    """A root_path that is no plain path is refused at the start."""
    with pytest.raises(SettingsError, match="root_path must be empty, or like /api"):
        adapter.call(adapter.make(root_path=root_path))


@pytest.mark.parametrize("name", WSGI)
def test_proxy_fix_takes_no_path_from_a_header(name):
    """Behind ProxyFix(x_prefix=1), X-Forwarded-Prefix undoes no caveat, unless it is the deployment's own."""
    one = WSGI[name]
    came = {"path": "/files/7", "headers": [("X-Forwarded-Prefix", "/public")]}
    for root_path, path, status in (
        ("", "/public", 401),
        ("", "/files", 401),
        ("/public", "/public/files", 200),
    ):
        app = ProxyFix(one.make(root_path=root_path), x_prefix=1)
        assert one.call(app, bound(PathPrefix(path)), **came).status == status


@pytest.mark.parametrize("name", WSGI)
def test_an_application_that_a_dispatcher_mounts(name):
    """Below a DispatcherMiddleware the guard is usable once its root_path names the mount."""
    one = WSGI[name]
    for root_path, path, status in (
        ("/app", "/app/files", 200),
        ("/app", "/files", 401),
        ("", "/app/files", 401),
    ):
        app = DispatcherMiddleware(Response("elsewhere"), {"/app": one.make(root_path=root_path)})
        assert one.call(app, bound(PathPrefix(path)), path="/app/files/7").status == status


@pytest.mark.parametrize("name", ["ASGI", "Starlette", "FastAPI"])
def test_an_application_that_starlette_mounts(name):
    """Below a Mount of another application the guard is usable once its root_path names the mount."""
    one = ASYNC[name]
    for root_path, path, status in (
        ("/app", "/app/files", 200),
        ("/app", "/files", 401),
        ("", "/app/files", 401),
    ):
        app = Starlette(routes=[Mount("/app", app=one.make(root_path=root_path))])
        assert one.call(app, bound(PathPrefix(path)), path="/app/files/7").status == status


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
def test_fastapi_s_own_root_path():
    """The root_path of a FastAPI application behind a proxy that strips it is named to the guard as well."""
    for root_path, path, status in (
        ("/api", "/api/invoices", 200),
        ("/api", "/invoices", 401),
        ("", "/api", 401),
    ):
        app = FastAPI(root_path="/api")
        guard = starlette.Guard(app, keys=KEYS, clock=lambda: NOW, root_path=root_path)
        app.add_api_route("/invoices", _view(guard))
        asked = Asked(headers=(("Authorization", f"Bearer {bound(PathPrefix(path))}"),))
        assert through_asgi(app, asked).status == status


def _view(guard):
    reader = guard.require("read")

    async def view(request: Request) -> JSONResponse:
        return JSONResponse((await reader(request)).client_id)

    return view


@pytest.mark.parametrize("root_path", ["", "/v1"])
def test_a_mount_within_the_guarded_application_needs_no_name(root_path):
    """Routes that the guarded application itself mounts are parts of its own path."""
    guard = starlette.Guard(keys=KEYS, clock=lambda: NOW, root_path=root_path)
    inner = Mount("/deep", routes=[Route("/invoices", _view(guard))])
    app = Starlette(routes=[Mount("/inner", routes=[inner])])
    guard.init_app(app)
    for path, status in ((f"{root_path}/inner/deep", 200), ("/deep", 401), ("/invoices", 401)):
        headers = (("Authorization", f"Bearer {bound(PathPrefix(path))}"),)
        asked = Asked("/inner/deep/invoices", root=root_path, headers=headers)
        assert through_asgi(app, asked).status == status


@pytest.mark.parametrize("prefix", ["/public", "/inner/public"])
def test_a_middleware_within_that_takes_a_prefix_from_a_header(prefix):
    """A root_path that a middleware behind the guard writes makes the path unknown."""
    guard = starlette.Guard(keys=KEYS, clock=lambda: NOW)
    routes = [Route("/invoices", _view(guard))]

    class Prefixing:
        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            await self.app({**scope, "root_path": prefix}, receive, send)

    app = Starlette(routes=[Mount("/inner", app=Prefixing(Starlette(routes=routes))), *routes])
    app.add_middleware(Prefixing)
    guard.init_app(app)
    for path in ("/invoices", "/inner/invoices"):
        headers = (("Authorization", f"Bearer {bound(PathPrefix(prefix))}"),)
        assert through_asgi(app, Asked(path, headers=headers)).status in (401, 404)


@pytest.mark.parametrize(
    ("root", "path"),
    [("/public", "/invoices"), ("/inner/public", "/inner/invoices"), ("/inner", "/innermost")],
)
def test_a_path_that_is_not_below_its_own_root_path_is_unknown(root, path):
    """A path that does not lie below the root_path that routing has made of the server's is not known."""
    admission = make_admission({"keys": KEYS, "clock": lambda: NOW}, is_around=True)
    scope = {"type": "http", "method": "GET", "path": path, "root_path": root, "headers": []}
    request = asgi.presented(scope, admission, root="")
    assert (request.path, request.why_no_path is None) == (None, False)


WHOLE = {
    "the root": ("", "", "", "/"),
    "a path": ("", "/files", "", "/files"),
    "the mount itself": ("/v1", "", "/v1", "/v1"),
    "below the mount": ("/v1", "/files", "/v1", "/v1/files"),
    "below the mount, with its slash": ("/v1/", "/files", "/v1", "/v1/files"),
    "within a segment": ("/v1", "files", "/v1", None),
    "within a segment, without a mount": ("/", "files", "", None),
    "the asterisk of OPTIONS": ("", "*", "", None),
    "another mount": ("/v2", "/files", "/v1", None),
    "a mount below": ("/v1/v2", "/files", "/v1", None),
    "no mount": ("", "/v1/files", "/v1", None),
    "a mount that is not named": ("/v1", "/files", "", None),
}


@pytest.mark.parametrize(("prefix", "path", "root_path", "whole"), WHOLE.values(), ids=WHOLE)
def test_the_whole_path(prefix, path, root_path, whole):
    """The whole path is the guard's own root_path and what is routed below, or it is not known."""
    found, why = whole_path("SCRIPT_NAME", prefix, path, root_path)
    assert (found, why is None) == (whole, whole is not None)


def test_a_websocket_under_a_foreign_prefix():
    """The path of a WebSocket's handshake is unknown under a prefix that the deployer did not name."""
    admission = make_admission({"keys": KEYS, "clock": lambda: NOW}, is_around=True)
    scope = {"type": "websocket", "path": "/public/live", "root_path": "/public", "headers": []}
    request = asgi.presented(scope, admission)
    assert request.path is None
    assert request.why_no_path is not None
