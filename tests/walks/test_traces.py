"""Traces of a running service, as a collector gets them: by OTLP, from every worker, the last ones too."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.command_line import API, members, serving, with_database
from tests.support.metrics import Caller

REQUESTS = 12


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Run a collector of OTLP over HTTP; yield its URL and what it has got."""
    got: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", got
        finally:
            server.shutdown()
            thread.join()


def test_every_request_about_a_token_reaches_the_collector(tmp_path: Path) -> None:
    """The spans of all workers reach the collector, those that waited at the stop too."""
    data = with_database(tmp_path / "data")
    added = members("client", "add", "billing", "--scope", "read", "--audience", API, "--data", data)
    with collector() as (url, got):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_SERVICE_NAME": "auth"}
        with serving(data, "--workers", "2", MACAROON_CBAT_TRACES="1", **variables) as service:
            caller = Caller(service, {"billing": added["client_secret"]})
            for _ in range(REQUESTS):
                with caller.connect() as one:
                    caller.mint(one)
    resources = [each for request in got for each in request.resource_spans]
    spans = [span for each in resources for scope in each.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST /oauth2/token"}
    pairs = [pair for span in spans for pair in span.attributes]
    ids = [pair.value.string_value for pair in pairs if pair.key == "macaroon_cbat.request_id"]
    assert len(set(ids)) == len(spans) == REQUESTS
    names = [pair.value.string_value for each in resources for pair in each.resource.attributes]
    assert set(names) == {"auth"}
