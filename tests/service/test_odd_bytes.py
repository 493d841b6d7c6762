"""Odd bytes in any part of a request are the mistake of who sent them: refused by 4xx, never a 500."""

import io
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.administrator import administrator
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, SECRETS, basic

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ODD = {
    "Latin-1": "\xe9",
    "UTF-8": "\xc3\xa9",
    "no UTF-8": "\x80\xff",
    "a surrogate in UTF-8": "\xed\xa0\x80",
    "encoded Latin-1": "%e9",
    "an encoded surrogate": "%ed%a0%80",
    "NUL": "\0",
    "encoded NUL": "%00",
    "a lone percent": "%",
    "control characters": "\x01\x7f\t",
    "quotes": "'\"\\",
    "digits of another script": "\xd9\xa3",
    "brackets": "[[[[{{{{",
    "much": "x" * 70_000,
}


@pytest.fixture
def asking(service, certificate):
    """Return what asks the WSGI application for an endpoint, as a client that is admitted there."""
    administrator(service, certificate)
    register(service, "invoices", audiences=(API,))
    binding = [confirmation(certificate.thumbprint)]
    bearers = {
        name: "Bearer " + attenuate(token_for_service(service, name), binding) for name in ("ops", "invoices")
    }

    def ask(path: str, method: str, body: bytes = b"", **variables: str) -> int:
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "CONTENT_TYPE": JSON if path.startswith(("/admin", "/macaroon")) else FORM,
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": _credentials(path, bearers),
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "as.example",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            PEER_CERTIFICATE: certificate.der,
        }
        statuses = []
        for part in service.app.wsgi_app(
            environ | variables, lambda status, headers: statuses.append((status, headers))
        ):
            assert b"Traceback" not in part
        status, headers = statuses[0]
        assert all(re.fullmatch(r"[ -~]*", value) for _, value in headers)
        return int(status[:3])

    ask.endpoints = sorted(
        (re.sub("<[^>]*>", "x", rule.rule), method)
        for rule in service.app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    )
    return ask


def _credentials(path: str, bearers: dict[str, str]) -> str:
    if path.startswith("/oauth2"):
        return basic("billing", SECRETS["billing"])
    return bearers["invoices" if path.startswith("/resource") else "ops"]


PARTS = {
    "query": lambda ask, odd: lambda path, method: ask(path, method, QUERY_STRING=odd),
    "value in the query": lambda ask, odd: (
        lambda path, method: ask(path, method, QUERY_STRING="after=" + odd)
    ),
    "credentials": lambda ask, odd: lambda path, method: ask(path, method, HTTP_AUTHORIZATION=odd),
    "Basic": lambda ask, odd: lambda path, method: ask(path, method, HTTP_AUTHORIZATION="Basic " + odd),
    "Bearer": lambda ask, odd: lambda path, method: ask(path, method, HTTP_AUTHORIZATION="Bearer " + odd),
    "path": lambda ask, odd: lambda path, method: ask(path + odd, method),
    "body": lambda ask, odd: lambda path, method: ask(path, method, odd.encode("latin-1")),
    "value in a form": lambda ask, odd: (
        lambda path, method: ask(path, method, b"token=" + odd.encode("latin-1"), CONTENT_TYPE=FORM)
    ),
    "value in JSON": lambda ask, odd: (
        lambda path, method: ask(
            path, method, b'{"macaroon":"' + odd.encode("latin-1") + b'"}', CONTENT_TYPE=JSON
        )
    ),
    "content type": lambda ask, odd: lambda path, method: ask(path, method, b"x", CONTENT_TYPE=odd),
    "character set": lambda ask, odd: (
        lambda path, method: ask(path, method, b"x", CONTENT_TYPE=f"{FORM}; charset={odd}")
    ),
    "content length": lambda ask, odd: lambda path, method: ask(path, method, b"x", CONTENT_LENGTH=odd),
    "host": lambda ask, odd: lambda path, method: ask(path, method, HTTP_HOST=odd),
    "cookie": lambda ask, odd: lambda path, method: ask(path, method, HTTP_COOKIE=odd),
    "method": lambda ask, odd: lambda path, _: ask(path, odd),
    "prefix": lambda ask, odd: lambda path, method: ask(path, method, SCRIPT_NAME=odd),
}


@pytest.mark.parametrize("part", PARTS)
def test_odd_bytes_are_no_failure(asking, part):
    """Every endpoint answers odd bytes in any part of a request, and fails for none."""
    answered = {
        (name, path, method): PARTS[part](asking, odd)(path, method)
        for name, odd in ODD.items()
        for path, method in asking.endpoints
    }
    assert {place: status for place, status in answered.items() if status >= 500} == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), part=st.sampled_from(sorted(PARTS)), odd=st.text(st.characters(max_codepoint=255)))
def test_any_bytes_are_no_failure(asking, data, part, odd):
    """No bytes in any part of a request are a failure."""
    path, method = data.draw(st.sampled_from(asking.endpoints))
    assert PARTS[part](asking, odd)(path, method) < 500
