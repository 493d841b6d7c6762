"""The facts of a request that a proxy has to send, each exactly once and in one spelling."""

from collections.abc import Iterator

import pytest

from macaroon_cbat.macaroon.caveats import read_caveats
from tests.support.gateway_process import Running, gateway
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import KINDS, Asked, envoy
from tests.support.tls_servers import Client

FORWARDED = ["nginx", "traefik", "caddy", "haproxy"]


@pytest.fixture(scope="module", params=FORWARDED)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def running(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with gateway(tmp_path_factory.mktemp(kind), proxy={"kind": kind, "trust": ["unix"]}) as running:
        yield running


def asked_with(certificate: bytes, *more: tuple[str, str]) -> Asked:
    return Asked(token=good(certificate), certificate=certificate, more=more)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-For", "Authorization"]
)
@pytest.mark.parametrize(
    "respell", [str, str.lower, lambda name: name.replace("-", "_"), lambda name: name.replace("-", ".")]
)
def test_a_fact_that_comes_twice_is_refused(running: Running, kind: str, holder: Client, name: str, respell):
    """A fact that comes twice, or also under a name that folds into its own, is believed neither way."""
    answer = KINDS[kind](running, asked_with(holder.der, (respell(name), "GET")))
    assert answer.status == (403 if kind == "nginx" else 400)
    assert "came" in running.audit()[-1]["reason"]
    assert answer.principal == {}


@pytest.mark.parametrize("missing", ["X-Forwarded-Method", "X-Forwarded-Uri"])
def test_a_fact_that_does_not_come_is_503(running: Running, missing: str):
    """A proxy that does not say method or target is misconfigured: 503, which no proxy takes for a yes."""
    fields = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}
    answer = running.ask({name: value for name, value in fields.items() if name != missing})
    assert (answer.status, answer.headers["Retry-After"], answer.principal) == (503, "5", {})
    running.await_log(f"does not send {missing}")


@pytest.mark.parametrize("empty", ["X-Forwarded-Method", "X-Forwarded-Uri"])
def test_a_fact_that_is_empty_is_the_clients(running: Running, kind: str, empty: str):
    """A fact that the proxy sends empty was left out by the client (CONNECT's target): refused, no outage."""
    fields = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health", empty: ""}
    assert running.ask(fields).status == (403 if kind == "nginx" else 400)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "TRACE"])
def test_the_questions_own_method_says_nothing(running: Running, kind: str, method: str):
    """The method of the question itself, which some proxies copy, has no part in the decision."""
    fields = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}
    assert running.ask(fields, method).status == 200
    told = {**fields, "X-Forwarded-Method": "delete"}
    assert running.ask(told, method).status == (403 if kind == "nginx" else 400)
    assert running.ask({**fields, "X-Forwarded-Method": "TRACE"}, method).status == 403


def test_a_proxy_that_does_not_say_whether_there_is_a_certificate_is_503(
    running: Running, kind: str, holder: Client
):
    """Silence is a mistake of the deployer, and not "none", where the format always says something."""
    fields = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Uri": "/invoices",
        "Authorization": f"Bearer {good(holder.der)}",
    }
    assert running.ask(fields).status == (401 if kind == "traefik" else 503)


@pytest.mark.parametrize("address", ["192.0.2.7, 192.0.2.8", "unknown", "", "192.0.2.7:1234"])
def test_a_malformed_address_is_no_address(running: Running, kind: str, holder: Client, address: str):
    """Without exactly one client address no `ip` caveat is met and none is audited; other tokens are good."""
    asked = Asked(token=good(holder.der), certificate=holder.der, address=address)
    assert KINDS[kind](running, asked).status == 200
    everywhere = good(holder.der, *read_caveats(b'{"ip":["0.0.0.0/0","::/0"]}'))
    asked = Asked(token=everywhere, certificate=holder.der, address=address)
    assert KINDS[kind](running, asked).status == 401
    assert "address" not in running.audit()[-1]
    assert KINDS[kind](running, Asked(token=everywhere, certificate=holder.der)).status == 200


def test_envoy_must_ask_under_the_prefix(tmp_path_factory: pytest.TempPathFactory, holder: Client):
    """Envoy over HTTP asks under the prefix that it was told; anything else is a mistake, never a path."""
    with gateway(tmp_path_factory.mktemp("envoy"), proxy={"kind": "envoy", "trust": ["unix"]}) as running:
        for target in ("/health", "/", "/other/envoy/health", "http://gateway/envoy/health"):
            assert running.ask({}, "GET", target).status == 503
        for client_chose in ("/envoyhealth", "/envoy", "/envoy*", "/envoyhttp://x/health"):
            assert running.ask({}, "OPTIONS", client_chose).status == 400
        assert running.ask({}, "GET", "/envoy/health").status == 200
        assert running.ask({}, "GET", "/envoy/envoy/health").status == 403
        twice = Asked(
            token=good(holder.der),
            certificate=holder.der,
            more=(("X_Forwarded_Client_Cert", "Hash=" + "0" * 64),),
        )
        assert envoy(running, twice).status == 400
