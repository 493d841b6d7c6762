"""Requests that are refused for their form, before any endpoint reads their content."""

import pytest

from tests.support.service import GRANT_TYPE, SECRETS, basic, refused

BASIC = {"Authorization": basic("billing", SECRETS["billing"])}
FORM = "application/x-www-form-urlencoded"
ENDPOINTS = ("/oauth2/token", "/oauth2/introspect", "/oauth2/revoke")
every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


def send(service, body: str | bytes, path="/oauth2/token", content_type=FORM):
    return service.open(path, data=body, headers=BASIC, content_type=content_type)


def test_a_raw_form_is_read(service):
    """A form is read as RFC 6749 appendix B spells it; unknown parameters are ignored."""
    assert send(service, "grant_type=client_credentials&scope=read+write&colour=blue").status_code == 200
    assert send(service, b"grant%5Ftype=client%5Fcredentials", content_type=FORM + "; charset=UTF-8").json[
        "scope"] == "read write audit"  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("", "invalid_request", id="nothing"),
        pytest.param("scope=read", "invalid_request", id="no grant type"),
        pytest.param("grant_type=", "invalid_request", id="an empty grant type"),
        pytest.param("grant_type", "invalid_request", id="a grant type without a value"),
        pytest.param("grant_type=password", "unsupported_grant_type", id="another grant type"),
        pytest.param("grant_type=implicit", "unsupported_grant_type", id="a grant type of the past"),
        pytest.param("grant_type=Client_Credentials", "unsupported_grant_type", id="in another case"),
        pytest.param("grant_type=%C3%A4", "unsupported_grant_type", id="a grant type that is no ASCII"),
        pytest.param("grant_type=a%0Ab", "unsupported_grant_type", id="a grant type of two lines"),
    ],
)
def test_the_grant_type_is_required(service, body, code):
    """A token request names a grant type that the service knows (RFC 6749 5.2)."""
    refused(send(service, body), 400, code)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param("grant_type=client_credentials", id="the grant type"),
        pytest.param("scope=read&scope=write", id="the scope, differing"),
        pytest.param("scope=read&scope=read", id="the scope, alike"),
        pytest.param("scope=&scope=read", id="the scope, empty once"),
        pytest.param("client_id=billing&client_id=payroll", id="the client"),
        pytest.param("colour=red&colour=blue", id="one that is unknown"),
        pytest.param("%C3%A4=1&%C3%A4=2", id="one that is no ASCII"),
        pytest.param("a%0Ab=1&a%0Ab=2", id="one of two lines"),
        pytest.param("=1&=2", id="one without a name"),
    ],
)
def test_a_repeated_parameter_is_refused(service, more):
    """A parameter that comes twice is invalid_request (RFC 6749 3.2)."""
    answer = send(service, "grant_type=client_credentials&" + more)
    assert "repeated" in refused(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (b"%ff", "is not UTF-8 text"),
        (b"\xff", "is not UTF-8 text"),
        (b"%C3", "is not UTF-8 text"),
        (b"%ED%A0%80", "is not UTF-8 text"),
        (b"\xc3\x28", "is not UTF-8 text"),
        (b"%00", "has a NUL character"),
        (b"\0", "has a NUL character"),
        (b"a%00b", "has a NUL character"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["scope", "resource", "client_id", "grant_type"])
def test_text_that_is_none_is_refused(service, name, value, problem):
    """A parameter that is not UTF-8, or holds NUL, is invalid_request."""
    form = {"grant_type": b"client_credentials"} | {name: value}
    answer = send(service, b"&".join(key.encode() + b"=" + text for key, text in form.items()))
    assert problem in refused(answer, 400, "invalid_request")


@every_endpoint
def test_the_url_holds_no_parameters(service, path):
    """Parameters in the URL are refused, for URLs are logged (RFC 6749 2.3.1)."""
    for query in ("grant_type=client_credentials", "client_secret=x", "token=x", "a"):
        answer = service.open(f"{path}?{query}", data=GRANT_TYPE | {"token": "x"}, headers=BASIC)
        assert "the URL has parameters" in refused(answer, 400, "invalid_request")


@every_endpoint
@pytest.mark.parametrize(
    "content_type",
    [
        pytest.param("application/json", id="JSON"),
        pytest.param("multipart/form-data; boundary=x", id="multipart"),
        pytest.param("text/plain", id="text"),
        pytest.param(None, id="none at all"),
        pytest.param("nonsense", id="nonsense"),
    ],
)
def test_another_content_type_is_refused(service, path, content_type):
    """A body that is no form is 400, in JSON, and says what to send (RFC 6749 5.2)."""
    answer = send(service, b'{"grant_type":"client_credentials"}', path, content_type)
    assert FORM in refused(answer, 400, "invalid_request")


@every_endpoint
@pytest.mark.parametrize("size", [70_000, 10_000_000])
def test_a_large_body_is_refused(service, path, size):
    """A body of more than 64 kB is refused with 413, in JSON, and not read."""
    refused(send(service, "token=" + "x" * size, path), 413, "request_too_large")


def test_a_body_of_just_the_limit_is_read(service):
    """A body of 64 kB is read: whatever is wrong with it, it is not its size."""
    body = "grant_type=client_credentials&x="
    assert send(service, body + "x" * (65_536 - len(body))).status_code == 200


def test_many_parameters_are_no_trouble(service):
    """A body full of parameters is a request like any other."""
    body = "grant_type=client_credentials&" + "&".join(f"p{number}=1" for number in range(6000))
    assert send(service, body).status_code == 200


@every_endpoint
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_only_post_is_allowed(service, path, method):
    """Every other method than POST is refused with 405 in JSON, which names POST."""
    answer = service.open(path, method=method, headers=BASIC)
    assert answer.status_code == 405
    assert set(answer.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}
    assert answer.mimetype == "application/json"
    if method != "HEAD":
        refused(answer, 405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/oauth2/introspect", "/oauth2/revoke"])
@pytest.mark.parametrize("body", ["", "token=", "token_type_hint=access_token"], ids=repr)
def test_the_token_is_required(service, path, body):
    """Introspection and revocation without a token are invalid_request."""
    assert "token is missing" in refused(send(service, body, path), 400, "invalid_request")


def test_who_asks_comes_first(service):
    """A caller that is no client learns nothing about the rest of its request."""
    for path in ENDPOINTS:
        answer = service.open(path, data={"grant_type": "client_credentials", "scope": "no", "token": ""})
        refused(answer, 401, "invalid_client")


def test_a_request_leaves_one_line_in_the_log(service, caplog):
    """A request leaves one line in the log, whatever it holds, and cannot write a second one."""
    for body in ("a%0AERROR+forged=1&a%0AERROR+forged=2", "grant_type=x", "a%1B%5B2J=1&a%1B%5B2J=2"):
        caplog.clear()
        with caplog.at_level("INFO", "macaroon_cbat"):
            send(service, body)
        [record] = caplog.records
        assert record.getMessage().isprintable()
        assert '"endpoint":"/oauth2/token","status":400' in record.getMessage()


def test_no_cache_keeps_an_answer_with_a_token(service):
    """Every answer of an OAuth endpoint says so to caches old and new (RFC 6749 5.1, RFC 7662 2.2)."""
    token = service.ask_token()
    answers = [
        token,
        service.post("/oauth2/introspect", {"token": token.json["access_token"]}, "api"),
        service.revoke(token.json["access_token"]),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    kept = [(answer.headers["Cache-Control"], answer.headers["Pragma"]) for answer in answers]
    assert kept == [("no-store", "no-cache")] * 3


def test_a_json_body_is_told_what_to_send(service):
    """A client that sends its parameters as JSON is 400, and is told what to send (RFC 6749 5.2)."""
    answer = service.open("/oauth2/token", json={"grant_type": "client_credentials"})
    assert refused(answer, 400, "invalid_request").startswith(
        "the body is application/json: send the parameters"
    )
