"""Guards that deny by default: a request that is neither public nor required reaches no client."""

import logging

import pytest

from macaroon_cbat import PathPrefix
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support import denying_applications as applications
from tests.support.adapters import Adapter, through_asgi, through_wsgi
from tests.support.challenges import challenge_of
from tests.support.counters import counts, difference
from tests.support.denying_applications import FORGOTTEN, OPEN
from tests.support.guarded_app import METHODS, THIEF, WELL_KNOWN, bound
from tests.support.log_lines import line_of
from tests.support.tokens import token

ADAPTERS = {
    "Flask": Adapter(applications.flask, through_wsgi),
    "Starlette": Adapter(applications.starlette_application, through_asgi),
    "FastAPI": Adapter(applications.fastapi, through_asgi),
    "Django": Adapter(applications.django_wsgi, through_wsgi),
    "Django, async": Adapter(applications.django_asgi, through_asgi),
}
DENIED = [FORGOTTEN, "/nowhere", "/invoices/", "/invoices"]
NOT_PUBLIC = {
    "a slash at the end": "/health/",
    "a slash at the beginning": "//health/x",
    "capital letters": "/HEALTH",
    "below a whole path": "/health/x",
    "like a whole path": "/healthy",
    "the prefix without its slash": "/static",
    "like a prefix": "/staticfiles",
    "dot segments": "/static/../forgotten",
    "encoded dot segments": "/static/%2e%2e/forgotten",
    "twice encoded dot segments": "/static/%252e%252e/forgotten",
    "an encoded slash": "/static/..%2fforgotten",
    "a backslash": "/static/..%5cforgotten",
    "two slashes": "/static//forgotten",
    "a parameter": "/static/..;/forgotten",
    "not UTF-8": "/static/%ff",
    "NUL": "/static/%00",
}
OTHER_PATH = [
    ("X-Original-URL", FORGOTTEN),
    ("X-Rewrite-URL", FORGOTTEN),
    ("X-Script-Name", "/x"),
    ("X-Vhm-Root", FORGOTTEN),
]


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def adapter(request):
    """Each adapter in turn."""
    return request.param


@pytest.fixture
def denying(adapter):
    return adapter.make()


@pytest.mark.parametrize("path", OPEN)
def test_a_public_path_needs_no_token(adapter, denying, path):
    """A public path is open with whatever token, and with none."""
    assert adapter.call(denying, path=path).status == 200
    assert adapter.call(denying, "rubbish", path=path).status == 200


@pytest.mark.parametrize("path", DENIED)
def test_all_else_needs_a_valid_token(adapter, denying, path):
    """Without a valid bound token nothing else answers, be it required, forgotten or not there at all."""
    replies = [
        adapter.call(denying, path=path),
        adapter.call(denying, token(), path=path),
        adapter.call(denying, bound(), path=path, certificate=THIEF),
        adapter.call(denying, bound(PathPrefix("/elsewhere")), path=path),
    ]
    assert [reply.status for reply in replies] == [401] * 4
    assert all(challenge_of(reply).startswith("Bearer realm=") for reply in replies)
    assert {reply.header("Cache-Control") for reply in replies} == {"no-store"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_denied(adapter, denying, method):
    """A forgotten view is denied whatever the method: HEAD and OPTIONS included."""
    assert adapter.call(denying, path=FORGOTTEN, method=method).status == 401
    assert adapter.call(denying, bound(), path=FORGOTTEN, method=method).status == 403


def test_a_forgotten_view_is_refused(adapter, denying, log):
    """A view that is neither required nor public is 403 to every valid token; the log names both."""
    text = bound(scope="admin root")
    reply = adapter.call(denying, text, path=FORGOTTEN)
    assert (reply.status, reply.json()["error"]) == (403, "access_denied")
    assert b"ran" not in reply.body
    line = line_of(log)
    assert "GET '/forgotten' is neither under require(...) nor public" in str(line["reason"])
    jti = read_identifier(read_macaroon(text).identifier).jti
    assert (line.get("who"), line.get("token_id")) == ("billing", jti)


def test_a_required_view_wants_its_scope(adapter, denying, log):
    """A required view is judged as ever, and each request once."""
    before = counts()
    reply = adapter.call(denying, bound(scope="read"))
    assert (reply.status, reply.body.strip(b'"')) == (200, b"ran")
    assert difference(before) == {("verified_total", "yes", "no"): 1}
    refused = adapter.call(denying, bound(scope="write"))
    assert (refused.status, refused.json()["error"]) == (403, "insufficient_scope")
    assert "requires scope 'read'" in str(line_of(log)["reason"])


def test_a_view_that_is_both_wants_its_token(adapter, denying):
    """A required view does not become public by its path."""
    assert adapter.call(denying, path="/both").status == 401
    assert adapter.call(denying, bound(), path="/both").status == 200


def test_a_token_learns_that_there_is_nothing(adapter, denying):
    """A valid token gets the 404 of what is not there; without one nothing tells."""
    assert adapter.call(denying, bound(), path="/nowhere").status == 404
    assert adapter.call(denying, path="/nowhere").status == 401


@pytest.mark.parametrize("path", NOT_PUBLIC.values(), ids=NOT_PUBLIC)
def test_what_only_looks_public_is_not(adapter, denying, path):
    """A path is public letter by letter, or plainly below a prefix; no spelling leads out of it."""
    assert adapter.call(denying, path=path).status == 401


@pytest.mark.parametrize("header", OTHER_PATH, ids=lambda header: header[0])
@pytest.mark.parametrize("path", OPEN)
def test_a_header_that_names_another_path_closes_a_public_one(adapter, denying, path, header):
    """No path is public where an application might serve the path of a header."""
    assert adapter.call(denying, path=path, headers=[header]).status == 401


def test_a_prefix_from_outside_opens_nothing(adapter):
    """A public path is one below the deployment's own prefix alone."""
    assert adapter.call(adapter.make(), path="/health", root="/x").status == 401
    assert adapter.call(adapter.make(root_path="/v1"), path="/health", root="/v1").status == 200
    assert adapter.call(adapter.make(root_path="/v1"), path="/health").status == 401


def test_the_metadata_document_stays_open(adapter, denying):
    """A client must be able to read where tokens come from (RFC 9728)."""
    assert adapter.call(denying, path=WELL_KNOWN).status == 200


def test_one_line_lists_what_is_open(adapter, caplog):
    """The start leaves one line that lists what is open, and says that all else is denied."""
    caplog.set_level(logging.INFO, "macaroon_cbat.resource")
    adapter.make()
    lines = [record.getMessage() for record in caplog.records if record.name == "macaroon_cbat.resource"]
    [line] = [one for one in lines if one.startswith("open without a token")]
    opened = f"open without a token: /both, /health, /static/*, {WELL_KNOWN}; all else is denied"
    assert line.startswith(opened)


MISTAKES = {
    "a misspelt default": {"default": "denny"},
    "a default in capitals": {"default": "DENY"},
    "no default": {"default": None},
    "a boolean": {"default": True},
    "public without deny": {"default": "allow"},
    "text for a list": {"public": "/health"},
    "bytes for a list": {"public": b"/health"},
    "nothing for a list": {"public": None},
    "a generator": {"public": (path for path in ["/health"])},
    "no text": {"public": [1]},
    "no slash": {"public": ["health"]},
    "empty": {"public": [""]},
    "a query": {"public": ["/health?x=1"]},
    "a fragment": {"public": ["/health#x"]},
    "a pattern": {"public": ["/*/health"]},
    "a prefix without a slash": {"public": ["/static*"]},
    "two stars": {"public": ["/static/**"]},
    "percent-encoded": {"public": ["/caf%C3%A9"]},
    "dot segments": {"public": ["/static/../x"]},
    "two slashes": {"public": ["//health"]},
    "a whole URL": {"public": ["https://api.example/health"]},
    "a line break": {"public": ["/health\n"]},
    "everything": {"public": ["/*"]},
}


@pytest.mark.parametrize("settings", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_refused_at_the_start(adapter, settings):
    """A default or a public path that no guard has is a settings error, and one line says what to write."""
    with pytest.raises(SettingsError) as error:
        adapter.make(**settings)
    assert "\n" not in str(error.value)
    assert "public" in str(error.value) or "default" in str(error.value)


def test_allow_is_the_default(adapter):
    """Without the setting a view that is not required is open, as ever."""
    app = adapter.make(default="allow", public=())
    assert adapter.call(app, path=FORGOTTEN).status == 200
