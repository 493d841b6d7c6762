"""The metadata document (RFC 9728), which every challenge names, from the gateway itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from tests.support.gateway_process import NO_PRINCIPAL, Running, gateway
from tests.support.ports import free_port
from tests.support.tokens import API, ISSUER, ROOT

PATH = "/.well-known/oauth-protected-resource"


def test_the_document_says_what_is_enforced(tmp_path: Path):
    """A proxy that routes the document's path here gets it, with no principal to copy."""
    with gateway(tmp_path) as running:
        answer = running.ask({}, target=PATH)
        assert (answer.status, answer.principal) == (200, NO_PRINCIPAL)
        assert json.loads(answer.body) == {
            "resource": API,
            "authorization_servers": [ISSUER],
            "scopes_supported": ["read", "root", "write"],
            "bearer_methods_supported": ["header"],
            "tls_client_certificate_bound_access_tokens": True,
        }
        challenge = running.ask({"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/"}).headers[
            "WWW-Authenticate"
        ]
        assert f'resource_metadata="{API}{PATH}"' in challenge


NO_READING = {
    "a question": ("GET", PATH, {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}),
    "a question by HEAD": ("HEAD", PATH, {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}),
    "half a question": ("GET", PATH, {"X-Forwarded-Uri": "/health"}),
    "the other half": ("GET", PATH, {"X-Forwarded-Method": "GET"}),
    "a question in other letters": ("GET", PATH, {"X_Forwarded_Uri": "/health"}),
    "a question with a query": (
        "GET",
        PATH + "?x",
        {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"},
    ),
    "a question below": ("GET", PATH + "/x", {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}),
    "a query": ("GET", PATH + "?x", {}),
    "a path below": ("GET", PATH + "/x", {}),
    "a longer name": ("GET", PATH + "x", {}),
    "another method": ("POST", PATH, {}),
    "an empty body": ("PUT", PATH, {"Content-Length": "0"}),
    "a body": ("GET", PATH, {"Content-Length": "5"}),
    "a chunked body": ("GET", PATH, {"Transfer-Encoding": "chunked"}),
}


@pytest.fixture(scope="module", params=["haproxy", "envoy"])
def reachable(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run a gateway of a kind that passes on every status."""
    proxy = {"kind": request.param, "trust": ["unix"]}
    with gateway(tmp_path_factory.mktemp(request.param), proxy=proxy) as running:
        yield running


@pytest.mark.parametrize(("method", "target", "fields"), NO_READING.values(), ids=NO_READING)
def test_nothing_else_is_answered_there(reachable: Running, method: str, target: str, fields: dict[str, str]):
    """At the document's path, where clients' requests arrive, all but GET and HEAD of it alone is 400.

    No question is decided there, whatever headers the client wrote, and no outage is reported.
    """
    answer = reachable.ask(fields, method, target)
    assert (answer.status, answer.principal) == (400, {})
    assert "cannot judge" not in reachable.log()


def test_the_document_may_be_asked_about(tmp_path: Path):
    """HEAD gets the head of the document, with no principal to copy."""
    with gateway(tmp_path) as running:
        answer = running.ask({}, "HEAD", PATH)
        assert (answer.status, answer.principal, answer.body) == (200, NO_PRINCIPAL, b"")


def test_a_stranger_reads_nothing(tmp_path: Path):
    """A sender that is not a trusted proxy does not get the document either."""
    listen = {"http": f"127.0.0.1:{free_port()}"}
    with gateway(tmp_path, listen=listen, proxy={"kind": "nginx", "trust": ["10.9.0.0/16"]}) as running:
        assert running.ask({}, target=PATH).status == 403


def test_the_document_is_found_in_any_encoding(tmp_path: Path):
    """A path of the audience that is percent-encoded is found however a proxy encodes it anew."""
    audience = API + "/caf%c3%a9/a%20b/<x>"
    (tmp_path / "other.json").write_bytes(write_key_file(audience_keys(ISSUER, audience, [ROOT])))
    (tmp_path / "other.json").chmod(0o600)
    proxy = {"kind": "haproxy", "trust": ["unix"]}
    with gateway(tmp_path, audience=audience, keys="other.json", proxy=proxy) as running:
        refused = running.ask({"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/"})
        named = f"{PATH}/caf%C3%A9/a%20b/%3Cx%3E"
        assert f'resource_metadata="{API}{named}"' in refused.headers["WWW-Authenticate"]
        for target in (named, named.replace("%C3%A9", "%c3%a9"), named.replace("b", "%62")):
            answer = running.ask({}, target=target)
            assert (answer.status, json.loads(answer.body)["resource"]) == (200, API + named[len(PATH) :])
        assert running.ask({}, target=named.replace("%20", "%2520")).status == 400
        assert running.ask({}, target=PATH).status == 400


def test_no_scope_is_not_named(tmp_path: Path):
    """`scopes_supported` is left out where no rule wants a scope (RFC 9728 2)."""
    with gateway(tmp_path, rules='[[rule]]\npath = "/"\nscope = ""\n') as running:
        assert "scopes_supported" not in json.loads(running.ask({}, target=PATH).body)
