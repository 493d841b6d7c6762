"""The parts that ASGI alone has: WebSockets, lifespan, other scopes, mounts, servers that differ."""

import json

import pytest

from macaroon_cbat.macaroon.caveats import Method, PathPrefix, TargetUri
from macaroon_cbat.macaroon.keys import audience_keys
from macaroon_cbat.resource import asgi
from tests.support.adapters import ASYNC, Asked, messages_of, scope_of, through_asgi
from tests.support.guarded_app import THIEF, WELL_KNOWN, bound
from tests.support.tokens import API, ISSUER, KEYS, NOW, ROOT

DENIAL = {"websocket.http.response": {}}


async def accepting(scope, receive, send):
    """Accept every WebSocket, and tell whose it is."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "reason": scope[asgi.PRINCIPAL].client_id})


def guard(**settings):
    return asgi.Guard(**{"keys": KEYS, "clock": lambda: NOW, **settings})


def opened(*headers, certificate=b"the holder's certificate", path="/live", denial=True):
    """Return what a guarded WebSocket application sends to a handshake."""
    scope = scope_of(Asked(path=path, headers=headers, certificate=certificate), "websocket")
    if denial:
        scope["extensions"] |= DENIAL
    return messages_of(guard().require("read")(accepting), scope)


def bearer(text):
    return "Authorization", f"Bearer {text}"


def test_a_websocket_of_the_holder_is_opened():
    """The holder's handshake reaches the application, which knows the principal."""
    assert [m["type"] for m in opened(bearer(bound()))] == ["websocket.accept", "websocket.close"]
    assert opened(bearer(bound()))[-1]["reason"] == "billing"


REFUSED = {
    "no token": ((), {}, 401),
    "stolen": ((bearer(bound()),), {"certificate": THIEF}, 401),
    "too little scope": ((bearer(bound(scope="write")),), {}, 403),
    "two tokens": ((bearer(bound()), bearer(bound())), {}, 400),
}


@pytest.mark.parametrize(("headers", "options", "status"), REFUSED.values(), ids=REFUSED)
def test_a_refused_websocket_gets_the_whole_answer(headers, options, status):
    """A refused handshake is answered as a request would be, challenge included, where the server can."""
    start, body = opened(*headers, **options)
    assert (start["type"], start["status"]) == ("websocket.http.response.start", status)
    found = dict(start["headers"])
    assert found[b"www-authenticate"].startswith(b"Bearer realm=")
    assert found[b"cache-control"] == b"no-store"
    assert body["type"] == "websocket.http.response.body"
    assert "error" in json.loads(body["body"])


@pytest.mark.parametrize(("headers", "options", "status"), REFUSED.values(), ids=REFUSED)
def test_a_refused_websocket_is_closed(headers, options, status):
    """A handshake that the server cannot answer is closed before it is accepted, which is 403."""
    assert opened(*headers, **options, denial=False) == [{"type": "websocket.close", "code": 1008}]


def test_a_handshake_is_a_get_of_its_path():
    """Caveats about the request judge the handshake: a GET, to the https target."""
    good = bound(Method("GET"), TargetUri(f"{API}/live"), PathPrefix("/live"))
    assert opened(bearer(good))[0]["type"] == "websocket.accept"
    for caveat in (Method("POST"), TargetUri(f"{API}/other"), PathPrefix("/other")):
        assert opened(bearer(bound(caveat)))[0]["status"] == 401


def test_the_document_is_no_websocket():
    """The metadata document answers no handshake."""
    assert opened(path=WELL_KNOWN)[0]["status"] == 401


def test_lifespan_is_passed_through():
    """Start-up and shut-down of the application are no requests."""

    async def app(scope, receive, send):
        assert asgi.PRINCIPAL not in scope
        await send({"type": "lifespan.startup.complete"})

    assert messages_of(guard().require()(app), {"type": "lifespan"}) == [
        {"type": "lifespan.startup.complete"}
    ]


@pytest.mark.parametrize("kind", ["webtransport", "email", ""])
def test_an_unknown_scope_is_never_passed_through(kind):
    """An ASGI scope that the guard cannot judge does not reach the application."""

    async def app(scope, receive, send):
        await send({"type": "passed"})

    with pytest.raises(RuntimeError, match="no ASGI scope"):
        messages_of(guard().require()(app), {"type": kind, "headers": [], "path": "/"})


def answering(*headers):
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        await send({"type": "http.response.body", "body": json.dumps(sorted(scope)).encode()})

    return app


def test_the_application_decides_about_caching():
    """An application's own Cache-Control stays, however it is spelled."""
    app = guard().require()(answering((b"Cache-Control", b"private")))
    assert through_asgi(app, Asked(headers=(bearer(bound()),))).header("cache-control") == "private"


@pytest.mark.parametrize("root", ["/v1", "/v1/"])
@pytest.mark.parametrize("adapter", ASYNC.values(), ids=ASYNC)
def test_a_server_that_does_not_repeat_the_root_path(adapter, root):
    """Hypercorn and daphne show the path below the root path: caveats name both."""
    app, whole = adapter.make(root_path="/v1"), f"{root.rstrip('/')}/files/7"
    for caveat, status in ((PathPrefix(whole), 200), (PathPrefix("/files/7"), 401)):
        asked = Asked(path="/files/7", headers=(("Host", "api.example"), bearer(bound(caveat))))
        assert through_asgi(app, asked, root_path=root).status == status


def test_a_path_that_begins_like_the_root_path_is_not_below_it():
    """The root path ends on a segment boundary, too."""
    app = guard(root_path="/v1").require()(answering())
    near = Asked(path="/v12/files", headers=(bearer(bound(PathPrefix("/v12"))),))
    assert through_asgi(app, near, root_path="/v1").status == 401


@pytest.mark.parametrize("path", ["/files/\ufffd", "/files/\udcff"])
def test_a_path_that_was_not_utf_8_is_not_told(path):
    """No caveat about the path is met, whatever a server puts in the place of bytes that are not UTF-8."""
    app = guard().require()(answering())
    asked = Asked(headers=(bearer(bound(PathPrefix("/files"))),))
    assert through_asgi(app, asked, path=path).status == 401


def test_head_gets_no_body():
    """An answer to HEAD is that to GET without the body (RFC 9110 9.3.2)."""
    get, head = (through_asgi(guard().require()(answering()), Asked(method=one)) for one in ("GET", "HEAD"))
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


def test_a_principal_from_outside_does_not_count():
    """A principal that stands in the scope already is not the guard's: it puts its own there or refuses."""
    scope = scope_of(Asked()) | {asgi.PRINCIPAL: "a principal from outside"}
    assert messages_of(guard().require()(answering()), scope)[0]["status"] == 401


def test_the_document_can_be_mounted_elsewhere():
    """The document is an application of its own, for a deployer who routes its path elsewhere."""
    one = guard(keys=audience_keys(ISSUER, API + "/v1", [ROOT]))
    one.require("write")
    assert through_asgi(one.document, Asked(path="/anything")).json()["scopes_supported"] == ["write"]
