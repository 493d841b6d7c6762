"""The metadata document is where the challenge says, for an audience with any path (RFC 9728)."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.keys import audience_keys
from macaroon_cbat.resource import wsgi
from tests.support.adapter_processes import running
from tests.support.adapters import ADAPTERS, Asked, through_wsgi
from tests.support.guarded_app import WELL_KNOWN
from tests.support.servers_behind_a_proxy import BEHIND_A_PROXY
from tests.support.tokens import API, ISSUER, ROOT

PATHS = {
    "none": "",
    "a slash": "/",
    "a path": "/v1",
    "a path with a slash": "/v1/",
    "UTF-8": "/caf%C3%A9",
    "UTF-8 in small digits": "/caf%c3%a9",
    "beyond the basic plane": "/%F0%9F%90%8D",
    "a space": "/a%20b",
    "angle brackets": "/<x>",
    "encoded angle brackets": "/%3Cx%3E",
    "what Werkzeug takes for a variable": "/<path:x>/<int(min=1):y>",
    "what Starlette takes for one": "/{x:path}",
    "a quotation mark": '/"x"',
    "an encoded slash": "/a%2Fb",
    "an encoded percent sign": "/100%25",
    "an encoded question mark": "/a%3Fb",
    "a plus sign": "/a+b",
    "other delimiters": "/a;b=c,d:e@f!$&'()*",
    "a query": "/v1?tenant=a%20b",
    "a query without a path": "?tenant=a",
}


def named(challenge: str | None) -> str:
    """Return the document's URL in a challenge, whose parameters are quoted strings (RFC 9110 5.6.4)."""
    found = re.search(r'resource_metadata="([^"\\]*)"', challenge or "")
    assert found is not None
    return found[1]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_challenge_leads_to_the_document(adapter, path):
    """A client that follows the challenge finds the document, whose resource is the audience."""
    audience = API + path
    app = adapter.make(keys=audience_keys(ISSUER, audience, [ROOT]))
    url = urlsplit(named(adapter.call(app).header("WWW-Authenticate")))
    assert (f"{url.scheme}://{url.netloc}", url.path[: len(WELL_KNOWN)]) == (API, WELL_KNOWN)
    document = adapter.call(app, path=url.path, certificate=None).json()
    assert document["resource"] == canonical_audience(audience)


ROUTED = {name: one for name, one in ADAPTERS.items() if name not in ("WSGI", "ASGI")}
"""Those of frameworks; the other two have the document wherever the deployer routes to it."""


@pytest.mark.parametrize("path", ["", "/V1", "/v1/", "/v1/x", "/v1x", "//v1", "/v2"])
@pytest.mark.parametrize("one", ROUTED.values(), ids=ROUTED)
def test_the_document_is_nowhere_else(one, path):
    """No other path has the document, which would be about a resource that it does not name."""
    app = one.make(keys=audience_keys(ISSUER, API + "/v1", [ROOT]))
    assert one.call(app, path=WELL_KNOWN + path).status == 404


def test_a_guarded_application_answers_it_by_itself():
    """An application that is guarded as a whole has the document, without a route of its own."""
    guard = wsgi.Guard(keys=audience_keys(ISSUER, API + "/caf%C3%A9 x".replace(" ", "%20"), [ROOT]))
    app = guard.require("read")(lambda *_: [])
    reply = through_wsgi(app, Asked(path=WELL_KNOWN + "/caf%c3%a9%20x"))
    assert (reply.status, reply.json()["resource"]) == (200, API + "/caf%C3%A9%20x")
    assert through_wsgi(app, Asked(path=WELL_KNOWN + "/cafe%20x")).status == 401


@pytest.mark.parametrize(("server", "application"), BEHIND_A_PROXY.values(), ids=BEHIND_A_PROXY)
def test_real_servers_agree(tmp_path: Path, server: str, application: str):
    """Each server hands the path over so that the document is found at the URL of the challenge."""
    audience = API + "/caf%C3%A9/a%20b/<x>"
    options = {"server": server, "application": application, "audience": audience}
    with running(tmp_path, **options) as one, one.connect() as sock:
        sock.sendall(b"GET /invoices HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n")
        head = b"".join(iter(lambda: sock.recv(65536), b"")).decode("latin-1")
        target = named(head).removeprefix(API)
        assert target == WELL_KNOWN + "/caf%C3%A9/a%20b/%3Cx%3E"
        status, body = one.ask(f"GET {target} HTTP/1.1")
        assert (status, json.loads(body)["resource"]) == (200, canonical_audience(audience))
