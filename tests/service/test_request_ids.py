"""The id of a request: one name in answer, audit log and ordinary log, which no client chooses."""

import logging
import re

import pytest
from werkzeug.test import EnvironBuilder

from macaroon_cbat.audit.log_format import JSON, TEXT, formatter
from macaroon_cbat.audit.request_id import REQUEST_ID
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.server.parking import PARK, ParkedResponse, park_of
from macaroon_cbat.service.observation import Observed
from tests.support.audit_events import events
from tests.support.service import GRANT_TYPE, SECRETS, basic
from tests.support.tokens import came_from

PROXY, STRANGER = "10.0.0.7", "192.0.2.7"
MADE = re.compile(r"[0-9a-f]{16}")
USABLE = {
    "hexadecimal": "0123456789abcdef0123456789abcdef",
    "a UUID": "6f1c8b9e-52c3-4a11-9b60-0f6f8a5f7c11",
    "AWS": "Root=1-67891233-abcdef012345678912345678",
    "base64": "q83vEjRWeJA+/w==",
    "one character": "a",
    "64 characters": "a" * 64,
}
UNUSABLE = {
    "empty": "",
    "65 characters": "a" * 65,
    "two values": "a,b",
    "a space": "a b",
    "a quote": 'a"b',
    "a bracket": "a] forged [b",
    "a control character": "a\x1b[31m",
    "another script": "\u00e9",
    "a line end": "a\n",
}


@pytest.fixture
def behind(start, file):
    """Start a service that trusts one proxy, and audits into a file."""
    source = Forwarded("haproxy-sha256", trust=trusted_proxies([PROXY]))
    return start(certificate_source=source, audit_log=str(file))


def ask(service, address, **headers):
    """Ask for a token from this address."""
    return service.app.test_client().post(
        "/oauth2/token",
        data=GRANT_TYPE,
        headers={"Authorization": basic("billing", SECRETS["billing"]), **headers},
        environ_overrides=came_from(address),
    )


@pytest.mark.parametrize(
    ("path", "status"), [("/oauth2/token", 400), ("/nowhere", 404), ("/admin/keys", 401)]
)
def test_each_answer_has_an_id_that_its_audit_line_names(audited, file, path, status):
    """Every answer, refusals too, has a new id, and its audit line has the same."""
    answers = [audited.open(path, method="GET" if status == 401 else "POST") for _ in range(2)]
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert [answer.status_code for answer in answers] == [status] * 2
    assert all(MADE.fullmatch(one) for one in ids)
    assert ids[0] != ids[1]
    assert [line["request_id"] for line in events(file)] == ids


@pytest.mark.parametrize("sent", USABLE.values(), ids=USABLE)
def test_a_trusted_proxy_names_the_request(behind, file, certificate, sent):
    """The id that a trusted proxy sends is that of the request everywhere."""
    answer = ask(behind, PROXY, Clientcertx5t=certificate.thumbprint, **{"X-Request-ID": sent})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (200, sent)
    assert [line["request_id"] for line in events(file)] == [sent]


@pytest.mark.parametrize("sent", UNUSABLE.values(), ids=UNUSABLE)
def test_an_id_that_is_not_plain_is_replaced(behind, file, sent):
    """An id that is long, or has what is syntax in a log or header, is replaced, from a trusted proxy too."""
    environ = {**came_from(PROXY), "HTTP_X_REQUEST_ID": sent}
    answer = behind.app.test_client().get("/nowhere", environ_overrides=environ)
    assert MADE.fullmatch(answer.headers["X-Request-ID"])
    assert [line["request_id"] for line in events(file)] == [answer.headers["X-Request-ID"]]


@pytest.mark.parametrize("sent", USABLE.values(), ids=USABLE)
def test_a_client_chooses_no_id(behind, service, sent):
    """Another sender's id is replaced, with a proxy in front or none: it would mix its lines with others'."""
    answers = (
        ask(behind, STRANGER, **{"X-Request-ID": sent}),
        ask(service, STRANGER, **{"X-Request-ID": sent}),
    )
    assert all(MADE.fullmatch(answer.headers["X-Request-ID"]) for answer in answers)


class Lines(logging.Handler):
    """A handler that writes each record at once, in both formats."""

    def __init__(self) -> None:
        """Begin without lines."""
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        self.lines += [formatter(form).format(record) for form in (TEXT, JSON)]


def test_ordinary_lines_name_the_request(service):
    """A line that is logged while a request is answered ends with its id; a line of no request has none."""
    log, handler = logging.getLogger("macaroon_cbat.service"), Lines()
    log.addHandler(handler)
    try:
        name = service.open("/nowhere").headers["X-Request-ID"]
        log.warning("something")
    finally:
        log.removeHandler(handler)
    text, structured, later, later_structured = handler.lines
    assert text.endswith(f"[request {name}]")
    assert f'"request_id":"{name}"' in structured
    assert later.endswith("something")
    assert "request_id" not in later_structured


@pytest.mark.parametrize("is_stream", [False, True], ids=["answer", "stream"])
def test_a_parked_answer_has_the_id(is_stream):
    """An answer that begins long after its request names it as every other one does."""
    kept = []

    def park(seconds, on_end, holder=""):
        kept.append(ParkedResponse(seconds, on_end, lambda: None, can_stream=True))
        return kept[0]

    def application(environ, _start):
        waiting = park_of(environ)(30.0, lambda: None)
        if is_stream:
            waiting.begin("200 OK", [], 30.0)
        return []

    environ = EnvironBuilder().get_environ() | {PARK: park}
    Observed(application, tls_connection)(environ, None)
    kept[0].finish("200 OK", [], b"news")
    texts, _ = kept[0].take(is_head=False, is_last=False)
    name = environ[REQUEST_ID]
    assert MADE.fullmatch(name)
    assert b"".join(texts).startswith(f"HTTP/1.1 200 OK\r\nX-Request-ID: {name}\r\n".encode())
