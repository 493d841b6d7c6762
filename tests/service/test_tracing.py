"""Spans of requests about tokens: their names, their parents, and who may choose a trace."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.service.oauth2.routes import OPERATIONS
from macaroon_cbat.service.observation import Observed
from macaroon_cbat.service.tracing import Tracing
from tests.support.command_line import ROOT
from tests.support.service import GRANT_TYPE, SECRETS, Service, basic
from tests.support.tokens import came_from

PROXY, STRANGER = "10.0.0.7", "192.0.2.7"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


class Traced:
    """A service whose spans are kept in memory."""

    def __init__(self, service: Service, source: object) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        tracing = Tracing({one.rule: one.rule for one in OPERATIONS}, provider)
        self.service = service
        service.app.wsgi_app = Observed(service.app.wsgi_app._application, source, tracing)  # noqa: SLF001

    def spans(self) -> list[ReadableSpan]:
        """Return the spans that have ended."""
        return list(self._kept.get_finished_spans())

    def ask(self, address: str, path: str = "/oauth2/token", **headers: str) -> int:
        """Ask for a token from this address."""
        known = {"Authorization": basic("billing", SECRETS["billing"]), **headers}
        overrides = came_from(address)
        client = self.service.app.test_client()
        return client.post(path, data=GRANT_TYPE, headers=known, environ_overrides=overrides).status_code


@pytest.fixture
def traced(services) -> Iterator[Traced]:
    """Trace a service that no proxy is in front of."""
    return Traced(services.start_new(), tls_connection)


@pytest.fixture
def behind(services) -> Iterator[Traced]:
    """Trace a service that trusts a proxy."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies([PROXY]))
    return Traced(services.start_new(), source)


def test_a_span_names_route_status_and_request(traced: Traced) -> None:
    """A request about a token has one span of the server's kind, with the id that the answer has."""
    answer = traced.service.ask_token()
    [span] = traced.spans()
    assert (span.name, span.kind) == ("POST /oauth2/token", trace.SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/oauth2/token",
        "http.response.status_code": 200,
        "macaroon_cbat.request_id": answer.headers["X-Request-ID"],
    }
    assert span.status.is_ok or span.status.status_code is trace.StatusCode.UNSET


@pytest.mark.parametrize("path", ["/oauth2/introspect", "/oauth2/revoke"])
def test_every_endpoint_of_tokens_is_traced(traced: Traced, path: str) -> None:
    """Introspection and revocation have spans, refused ones too; a refusal is no failure of the service."""
    assert traced.service.open(path).status_code in (400, 401)
    [span] = traced.spans()
    assert span.name == f"POST {path}"
    assert span.status.status_code is trace.StatusCode.UNSET


def test_nothing_else_is_traced(traced: Traced) -> None:
    """Pages, metadata, feeds and unknown paths have no span: no client names one."""
    for path in ("/", "/openapi.json", "/admin/keys", "/resource/keys", "/oauth2/token/", "/x"):
        traced.service.open(path, method="GET")
    assert traced.spans() == []


def test_a_client_makes_no_names(traced: Traced) -> None:
    """A method that a client invents is none of a span's."""
    traced.service.open("/oauth2/token", method="STEAL")
    [span] = traced.spans()
    assert (span.name, (span.attributes or {})["http.request.method"]) == ("HTTP /oauth2/token", "_OTHER")


def test_an_outage_is_an_error(traced: Traced, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status of 500 or more makes the span an error, by its number alone."""
    monkeypatch.setitem(traced.service.app.view_functions, "token", lambda: 1 / 0)
    assert traced.ask(STRANGER) == 500
    [span] = traced.spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "500"
    assert span.events == ()


def test_a_trusted_proxy_names_the_parent(behind: Traced) -> None:
    """The traceparent of a trusted proxy is the parent of the span (W3C Trace Context)."""
    behind.ask(PROXY, Traceparent=PARENT, Tracestate="vendor=1")
    [span] = behind.spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, SPAN)
    assert span.context.trace_id == span.parent.trace_id
    assert span.context.trace_state.get("vendor") == "1"


def test_a_client_chooses_no_trace(behind: Traced, traced: Traced) -> None:
    """Another sender's traceparent is a link: the span begins a trace, and its sender decides no sampling."""
    for one in (behind, traced):
        one.ask(STRANGER, Traceparent=PARENT)
        [span] = one.spans()
        assert span.parent is None
        assert f"{span.context.trace_id:032x}" != TRACE
        assert [f"{link.context.trace_id:032x}" for link in span.links] == [TRACE]


@pytest.mark.parametrize(
    "sent",
    ["", "x", PARENT + "-x", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"{PARENT},{PARENT}"],
    ids=["empty", "junk", "too long", "version ff", "no trace", "two"],
)
def test_a_malformed_parent_is_none(behind: Traced, sent: str) -> None:
    """A traceparent that is not well-formed is ignored, from a trusted proxy too, and fails no request."""
    behind.ask(PROXY, Traceparent=sent, Clientcertx5t="none")
    [span] = behind.spans()
    assert (span.parent, list(span.links)) == (None, [])


def test_nothing_is_loaded_unless_it_is_wanted() -> None:
    """A service without traces loads nothing of OpenTelemetry."""
    program = (
        "import sys, macaroon_cbat.cli.serve, macaroon_cbat.service.app\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout == "[]\n"


def test_messages_of_another_package_are_one_line() -> None:
    """An older copy of OpenTelemetry's messages, as Envoy's API has one, ends the start with the remedy."""
    program = (
        "import sys, types\n"
        "from macaroon_cbat.errors import SettingsError\n"
        "from macaroon_cbat.service.tracing import Tracing\n"
        "older = 'opentelemetry.proto.common.v1.common_pb2'\n"
        "sys.modules[older] = types.ModuleType(older)\n"
        "try:\n    Tracing({})\nexcept SettingsError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.startswith("MACAROON_CBAT_TRACES: the messages of OpenTelemetry are an older copy")
    assert done.stdout.endswith("pip install --force-reinstall --no-deps opentelemetry-proto\n")
