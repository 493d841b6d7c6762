"""Traces of OpenTelemetry, if the operator wants them: a span for each request about tokens.

A span names method, route, status and the id of the request, never a client's text. `serve` sends spans by
OTLP over HTTP, as the OTEL_ variables say; an application with a provider of its own gives them to that.
"""

from collections.abc import Callable, Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import MissingExtra, extra
from macaroon_cbat.service.variables import PREFIX

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, TracerProvider

TRACING = "macaroon_cbat.tracing"
"""The name of the extension: the spans of the application, or None."""

_NAME = "macaroon_cbat"
_SERVICE = "macaroon-cbat"
_REMEDY = "pip install --force-reinstall --no-deps opentelemetry-proto"
_PARENT, _STATE = "HTTP_TRACEPARENT", "HTTP_TRACESTATE"


class RequestSpan:
    """The span of one request, under way until `end`."""

    __slots__ = ("_detach", "_failed", "_span", "_token")

    def __init__(
        self, span: "Span", token: "Token[Context]", detach: Callable[[Any], None], failed: Any
    ) -> None:
        self._span, self._token, self._detach, self._failed = span, token, detach, failed

    def answer(self, status: int) -> None:
        """Name the status; a failure of the service is one of the span."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= 500:
            self._span.set_status(self._failed)
            self._span.set_attribute("error.type", str(status))

    def end(self) -> None:
        """End the span."""
        self._detach(self._token)
        self._span.end()


class Tracing:
    """The spans of a process: made after the fork, for the exporter has a thread."""

    def __init__(self, routes: Mapping[str, str], provider: "TracerProvider | None" = None) -> None:
        """Trace requests to these paths, each with the name of its route.

        Spans go to the provider, or to the one that the application has set, or else to a collector as the
        OTEL_ variables say. Raises MissingExtra without OpenTelemetry's SDK.
        """
        with extra("otel"):
            from opentelemetry import context, trace
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
        self._routes = routes
        self._context, self._trace = context, trace
        self._read = TraceContextTextMapPropagator().extract
        self._failed = trace.Status(trace.StatusCode.ERROR)
        self._own = None if provider or _is_set(trace) else _exporting()
        self._tracer = (provider or self._own or trace.get_tracer_provider()).get_tracer(_NAME)

    def begin(
        self, environ: "WSGIEnvironment", request_id: str, is_trusted: Callable[["WSGIEnvironment"], bool]
    ) -> RequestSpan | None:
        """Begin the span of a request, if it is about tokens.

        A trusted proxy's `traceparent` is the parent. Another sender's is a link alone, and the span begins a
        trace of its own: a client must not decide what is sampled, or write into another's trace.
        """
        route = self._routes.get(environ["PATH_INFO"])
        if route is None:
            return None
        method = environ["REQUEST_METHOD"]
        parent, links = self._parent(environ, is_trusted)
        span = self._tracer.start_span(
            f"{method if method in _METHODS else 'HTTP'} {route}",
            parent,
            self._trace.SpanKind.SERVER,
            {
                "http.request.method": method if method in _METHODS else "_OTHER",
                "http.route": route,
                "macaroon_cbat.request_id": request_id,
            },
            links,
        )
        token = self._context.attach(self._trace.set_span_in_context(span))
        return RequestSpan(span, token, self._context.detach, self._failed)

    def _parent(
        self, environ: "WSGIEnvironment", is_trusted: Callable[["WSGIEnvironment"], bool]
    ) -> tuple["Context", list[Any]]:
        nothing = self._context.Context()
        if _PARENT not in environ:
            return nothing, []
        shown = {"traceparent": environ[_PARENT], "tracestate": environ.get(_STATE, "")}
        found = self._read(shown, nothing)
        if is_trusted(environ):
            return found, []
        context = self._trace.get_current_span(found).get_span_context()
        return nothing, [self._trace.Link(context)] if context.is_valid else []

    def stop(self) -> None:
        """Send what waits, and end; an application's own provider is its own to end."""
        if self._own is not None:
            self._own.shutdown()


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _is_set(trace: Any) -> bool:
    """Return True if the application has set a provider; asking for one would set one."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _exporting() -> Any:
    """Return a provider that sends spans in batches. Raises SettingsError for messages of another package."""
    with extra("otel"):
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    try:
        with extra("otel"):
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except MissingExtra:
        raise
    except ImportError as error:
        raise SettingsError(
            f"{PREFIX}TRACES: the messages of OpenTelemetry are an older copy ({error.msg}), as the extra "
            f"envoy brings one: install them last: {_REMEDY}"
        ) from error
    named = Resource({"service.name": _SERVICE}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider
