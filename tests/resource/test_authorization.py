"""The place of a token: in one Authorization header of the scheme Bearer, and nowhere else."""

import pytest
from flask import Flask

from tests.support.guarded_app import bound, call, parameters
from tests.support.tokens import API

HONEST = bound()

OTHER_SCHEMES = {
    "Basic": "Basic YTpi",
    "Digest with commas": 'Digest username="a", realm="b", uri="/"',
    "Macaroon": f"Macaroon {HONEST}",
    "no scheme": HONEST,
    "no space after the scheme": f"Bearer{HONEST}",
    "a tab after the scheme": f"Bearer\t{HONEST}",
    "a colon after the scheme": f"Bearer: {HONEST}",
    "empty": "",
}


@pytest.mark.parametrize("value", OTHER_SCHEMES.values(), ids=OTHER_SCHEMES)
def test_other_schemes_are_no_credentials(app: Flask, value: str):
    """A header of another scheme is as if no credentials had come: 401 without an error code."""
    response = call(app, headers=[("Authorization", value)])
    assert response.status_code == 401
    assert "error" not in parameters(response)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_scheme_s_letter_case_is_free(app: Flask, scheme: str):
    """The scheme is Bearer in any letter case (RFC 9110 11.1)."""
    assert call(app, headers=[("Authorization", f"{scheme} {HONEST}")]).status_code == 200


TWO = {
    "twice the same": (f"Bearer {HONEST}", f"Bearer {HONEST}"),
    "a good one first": (f"Bearer {HONEST}", "Bearer rubbish"),
    "a good one last": ("Bearer rubbish", f"Bearer {HONEST}"),
    "Basic first": ("Basic YTpi", f"Bearer {HONEST}"),
    "Basic last": (f"Bearer {HONEST}", "Basic YTpi"),
}


@pytest.mark.parametrize(("first", "second"), TWO.values(), ids=TWO)
@pytest.mark.parametrize("joint", [",", ", ", " , "], ids=["a comma", "comma and space", "spaces around it"])
def test_two_authorization_headers_are_refused(app: Flask, first: str, second: str, joint: str):
    """Two headers, which servers join with a comma, are 400 invalid_request, whichever one is good."""
    response = call(app, headers=[("Authorization", first + joint + second)])
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"] == parameters(response)["error"] == "invalid_request"
    assert parameters(response)["realm"] == API


@pytest.mark.parametrize(
    "value", [f"{HONEST},{HONEST}", f"{HONEST} {HONEST}", f"{HONEST}, x", f'x="{HONEST}"']
)
def test_more_than_a_token_is_no_token(app: Flask, value: str):
    """A header with anything but one token after the scheme is refused."""
    response = call(app, value)
    assert response.status_code in (400, 401)
    assert parameters(response)["error"] in ("invalid_request", "invalid_token")


def test_a_token_in_the_query_does_not_count(app: Flask):
    """A token in the URL, where logs keep it, is ignored (RFC 6750 2.3)."""
    response = call(app, query_string={"access_token": HONEST, "token": HONEST, "Authorization": HONEST})
    assert response.status_code == 401
    assert "error" not in parameters(response)


def test_a_token_in_the_body_does_not_count(app: Flask):
    """A token in a form or in JSON is ignored (RFC 6750 2.2)."""
    for body in ({"data": {"access_token": HONEST}}, {"json": {"access_token": HONEST}}):
        response = call(app, method="POST", **body)
        assert response.status_code == 401
        assert "error" not in parameters(response)


HEADERS = ("X-Authorization", "Proxy-Authorization", "X-Forwarded-Authorization", "X-Access-Token", "Cookie")


@pytest.mark.parametrize("name", HEADERS)
def test_a_token_in_another_header_does_not_count(app: Flask, name: str):
    """No other header carries a token."""
    response = call(app, headers=[(name, f"Bearer {HONEST}")])
    assert response.status_code == 401
    assert "error" not in parameters(response)
