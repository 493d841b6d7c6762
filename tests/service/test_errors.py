"""Every failure is JSON, and none says more than it must."""

import sqlite3
from contextlib import closing

import pytest
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, ISSUER, refused

EVIL = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}


def execute(service, statement: str, *parameters) -> None:
    """Change the database under the running application."""
    with closing(sqlite3.connect(service.folder / "db.sqlite3", isolation_level=None)) as connection:
        connection.execute(statement, parameters)


def unavailable(answer):
    refused(answer, 503, "temporarily_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert "sqlite" not in answer.text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "TRACE"])
@pytest.mark.parametrize(
    "path",
    ["/oauth2", "/oauth2/token/", "/oauth2/Token", "/favicon.ico", "/%00", "/%ff", "/../etc/passwd"],
)
def test_an_unknown_path_is_json(service, method, path):
    """An unknown path is 404 in JSON, whatever the method and the path."""
    refused(service.open(path, method=method), 404, "not_found")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "//oauth2/token",
        "/oauth2//token",
        "/admin//clients",
        "/openapi.json/",
        "/oauth2/token/",
        "//openapi.json//",
        "/%2Fopenapi.json",
        "/%2F%2Foauth2/token",
        "/%2Fadmin/clients",
    ],
)
def test_no_spelling_of_a_path_redirects(service, method, path):
    """Another spelling of a path is 404, never a redirect, which would name the client's own Host."""
    answer = service.open("https://evil.example" + path, method=method, headers=EVIL)
    refused(answer, 404, "not_found")
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [
        "//openapi.json",
        "/%2fopenapi.json",
        "/%2F/openapi.json?a=b",
        "https://as.example//openapi.json",
        "HTTP://as.example:80/%2fopenapi.json",
        "http:////openapi.json",
    ],
)
def test_a_path_is_the_one_that_was_sent(service, sent):
    """A path is 404 in a spelling that the embedded server mends: a proxy in front has read another one."""
    environ = EnvironBuilder(path="/openapi.json", base_url=ISSUER).get_environ() | {"REQUEST_URI": sent}
    assert Response.from_app(service.app, environ).status_code == 404
    for plain in (
        "/openapi.json",
        "https://as.example/openapi.json",
        "/openapi.json?next=https://a.example//b",
    ):
        environ["REQUEST_URI"] = plain
        assert Response.from_app(service.app, environ).status_code == 200


def test_no_answer_names_the_host_of_the_request(service):
    """A host that a client writes is in no header and in no body of any route's answer."""
    rules = list(service.app.url_map.iter_rules())
    answers = [
        service.open(rule.rule.replace("<", "").replace(">", ""), method=method, headers=EVIL)
        for rule in rules
        for method in sorted(rule.methods)
    ]
    assert len(answers) > 20
    assert [
        answer.request.path for answer in answers if "evil.example" in f"{answer.headers}{answer.text}"
    ] == []


@pytest.mark.parametrize("path", ["/openapi.json", "/.well-known/oauth-authorization-server"])
def test_another_method_is_json(service, path):
    """A method that a path does not have is 405 in JSON, with those that it has."""
    answer = service.open(path, method="POST")
    assert refused(answer, 405, "method_not_allowed") == "the method is not allowed here: send GET"
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_a_path_that_is_not_there_is_json(service):
    """A path that the service does not have is 404 in JSON, and says which document names those it has."""
    told = refused(service.open("/oauth/token"), 404, "not_found")
    assert told == "this path is unknown: find the endpoints in the metadata document (RFC 8414)"


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz", "/metrics"])
def test_what_operators_ask_is_not_public(service, path):
    """Probes and metrics are on the management port: where clients ask, their paths are unknown."""
    refused(service.open(path, method="GET"), 404, "not_found")


@pytest.mark.parametrize(
    ("table", "ask"),
    [
        pytest.param("clients", lambda s, _: s.ask_token(), id="token"),
        pytest.param(
            "clients", lambda s, t: s.post("/oauth2/introspect", {"token": t}, "api"), id="who asks"
        ),
        pytest.param(
            "revocations",
            lambda s, t: s.post("/oauth2/introspect", {"token": t}, "api"),
            id="is it revoked",
        ),
        pytest.param("revocations", lambda s, t: s.revoke(t), id="revoke"),
    ],
)
def test_a_vanished_database_is_503(service, caplog, table, ask):
    """A request that the database cannot answer is neither yes nor no: 503 with Retry-After, one log line."""
    token = service.token()
    service.app.extensions["macaroon_cbat"].clients.forget()
    execute(service, f"DROP TABLE {table}")
    caplog.clear()
    with caplog.at_level("INFO", "macaroon_cbat"):
        unavailable(ask(service, token))
    [record] = caplog.records
    assert record.levelname == "ERROR"
    assert "no such table" in record.getMessage()


def test_root_keys_that_cannot_be_read_are_503(service):
    """Without root keys nothing is minted and nothing is called inactive."""
    token = service.token()
    service.app.extensions["macaroon_cbat"].root_keys.forget()
    execute(service, "DROP TABLE root_keys")
    unavailable(service.ask_token())
    unavailable(service.post("/oauth2/introspect", {"token": token}, "api"))
    unavailable(service.revoke(token))


def test_a_locked_database_is_503(service):
    """A revocation that cannot be written is 503, and minting and introspection go on meanwhile."""
    token = service.token()
    with closing(sqlite3.connect(service.folder / "db.sqlite3", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        unavailable(service.revoke(token))
        assert service.introspect(token)["active"] is True
        assert service.ask_token().status_code == 200
    assert service.revoke(token).status_code == 200


def test_a_defect_is_500(service, caplog):
    """A defect is 500 in JSON: the log gets the traceback, the caller learns nothing."""
    execute(service, "UPDATE clients SET metadata = 'secret nonsense' WHERE client_id = 'billing'")
    with caplog.at_level("INFO", "macaroon_cbat"):
        answer = service.ask_token()
    description = refused(answer, 500, "server_error")
    assert "nonsense" not in description
    assert "Error" not in answer.text
    [record] = caplog.records
    assert record.exc_info is not None
    assert service.ask_token("payroll").status_code == 200


def test_a_root_key_under_another_wrapping_key_is_500(service):
    """A root key that appears under another wrapping key stops minting: it is no client's refusal."""
    execute(service, "INSERT INTO root_keys VALUES ('mine', ?, ?, 'retiring', 0)", b"x" * 60, NOW + 9)
    service.app.extensions["macaroon_cbat"].root_keys.forget()
    refused(service.ask_token(), 500, "server_error")


def test_the_debug_mode_shows_no_more(new_service):
    """Not even in Flask's debug mode does a failure show a page of its own."""
    service = new_service
    service.app.debug = True
    execute(service, "UPDATE clients SET metadata = 'nonsense' WHERE client_id = 'billing'")
    refused(service.ask_token(), 500, "server_error")
    refused(service.post("/nowhere", GRANT_TYPE), 404, "not_found")
