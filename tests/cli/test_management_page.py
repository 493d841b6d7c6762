"""The management page has three places, and speaks HTTP as strictly as the service does."""

import socket

import pytest

from tests.support.command_line import serving
from tests.support.ports import free_port
from tests.support.tls_servers import read_to_end


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Run a service with a management page."""
    port = free_port()
    with serving(tmp_path_factory.mktemp("page") / "data", "--management-port", str(port)):
        yield port


def say(port: int, text: str) -> tuple[int, bytes]:
    """Send this header; return the status and the whole answer."""
    with socket.create_connection(("127.0.0.1", port), 20) as sock:
        sock.sendall(text.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        answer = read_to_end(sock)
    return int(answer.split()[1]), answer


@pytest.mark.parametrize("target", ["/metrics", "/metrics?x=1", "http://x:9100/metrics"])
def test_the_page_is_at_metrics(port, target):
    """The page is at /metrics, with a query or in absolute form as well."""
    status, answer = say(port, f"GET {target} HTTP/1.1\nHost: x:9100")
    assert status == 200
    assert b"macaroon_cbat_tokens_revoked_total 0.0" in answer


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/metrics/",
        "/metricsx",
        "//metrics/x",
        "/Metrics",
        "/metrics/../",
        "/%6detrics",
        "/favicon.ico",
        "/oauth2/token",
        "/admin/clients",
        "/healthz",
        "*",
    ],
)
def test_nothing_is_elsewhere(port, target):
    """Any other path is 404, which says what there is."""
    status, answer = say(port, f"GET {target} HTTP/1.1\nHost: x:9100")
    assert status == 404
    assert b"this port has /livez, /readyz and /metrics" in answer
    assert b"tokens_revoked" not in answer


@pytest.mark.parametrize(
    "hosts", ["", "\nHost: a\nHost: b", "\nHost: a\nhost: a"], ids=["none", "two", "twice"]
)
def test_a_request_has_one_host(port, hosts):
    """An HTTP/1.1 request without Host, or with two, is 400 (RFC 9112 3.2)."""
    assert say(port, f"GET /metrics HTTP/1.1{hosts}")[0] == 400


def test_http_1_0_needs_no_host(port):
    """Of HTTP/1.0 no Host is asked."""
    assert say(port, "GET /metrics HTTP/1.0")[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_the_page_can_only_be_read(port, method):
    """No other method than GET does anything."""
    assert say(port, f"{method} /metrics HTTP/1.1\nHost: x\nContent-Length: 0")[0] == 501


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_nothing_is_kept(port, path):
    """Every answer is fresh, and HEAD has the header of GET without its body."""
    whole, header = (say(port, f"{method} {path} HTTP/1.1\nHost: x")[1] for method in ("GET", "HEAD"))
    assert b"\r\nCache-Control: no-store\r\n" in whole
    assert whole.partition(b"\r\n\r\n")[2] != b""
    assert header.partition(b"\r\n\r\n")[2] == b""
    assert header.split()[1] == whole.split()[1] == b"200"
