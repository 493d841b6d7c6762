"""Log lines: one request writes one at most, with any content that a client or a proxy sends."""

from collections.abc import Iterator

import grpc
import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckResponse

from tests.support.envoy_client import CHECK, check, check_request
from tests.support.gateway_process import Running, gateway
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, forwarded
from tests.support.tls_servers import SECONDS, Client

FORGED = "2026-01-01 00:00:00,000 INFO macaroon_cbat.gateway: all is well"
NEXT_LINES = {"next line": "\x85", "line separator": "\u2028", "line feed": "\n", "carriage return": "\r"}


@pytest.fixture(scope="module")
def over_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    proxy = {"kind": "haproxy", "trust": ["unix"]}
    with gateway(tmp_path_factory.mktemp("http"), proxy=proxy) as running:
        yield running


@pytest.fixture(scope="module")
def over_grpc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("grpc")
    listen = {"grpc": f"unix:{folder}/grpc.sock"}
    with gateway(folder, listen=listen, proxy={"kind": "envoy", "trust": ["unix"]}) as running:
        yield running


def lines(running: Running) -> list[str]:
    """Return the lines of both logs, as a reader that takes any character for a line end sees them."""
    return running.log().splitlines() + (running.folder / "audit.log").read_text().splitlines()


HOSTILE = {
    "a path": Asked(uri=f"/health%0a{FORGED}".replace(" ", "%20")),
    "a path that is no rule's": Asked(uri=f"/nothing%c2%85{FORGED}".replace(" ", "%20")),
    "a path as it came": Asked(uri=f"/nothing\x85{FORGED}"),
    "a method": Asked(method=f"GET\x85{FORGED}", uri="/health"),
    "an address": Asked(address=f"192.0.2.7\x85{FORGED}"),
    "a token": Asked(more=(("Authorization", f"Bearer x\x85{FORGED}"),)),
    "a scheme": Asked(more=(("Authorization", f"Basic\x85{FORGED}"),)),
}


@pytest.mark.parametrize("asked", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("certificate", [[], [("Clientcertx5t", f"none\x85{FORGED}")]], ids=["503", "400"])
def test_a_question_over_http_is_one_line(
    over_http: Running, asked: Asked, certificate: list[tuple[str, str]]
):
    """No text of a client ends a line or begins another one, in the audit log or in the ordinary one."""
    before = lines(over_http)
    assert over_http.ask(forwarded(asked, certificate)).status in (400, 401, 403, 503)
    after = lines(over_http)
    assert len(after) == len(before) + 1
    assert FORGED not in after


@pytest.mark.parametrize("line_end", NEXT_LINES.values(), ids=NEXT_LINES)
@pytest.mark.parametrize("member", ["method", "path", "address", "authorization"])
def test_a_question_over_grpc_is_one_line(over_grpc: Running, holder: Client, line_end: str, member: str):
    """A question over gRPC, whose texts may hold any character, is one line, with an outage and without."""
    text = line_end + FORGED
    request = check_request(Asked(token=good(None), certificate=holder.der))
    http, address = request.attributes.request.http, request.attributes.source.address.socket_address
    http.method += text * (member == "method")
    http.path += text * (member == "path")
    http.headers["authorization"] += text * (member == "authorization")
    address.address += text * (member == "address")
    before = lines(over_grpc)
    assert check(over_grpc, request).denied_response.status.code in (400, 401)
    request.attributes.source.certificate = ""
    assert check(over_grpc, request).denied_response.status.code in (400, 503)
    after = lines(over_grpc)
    assert len(after) == len(before) + 2
    assert FORGED not in after


@pytest.mark.parametrize("message", [b"\x0a\xff", b"nonsense", b"\x0a\x02\x0a\xc0"])
def test_what_is_no_message_is_not_logged(over_grpc: Running, message: bytes):
    """A peer that sends no CheckRequest is told so, and no traceback is logged, nor anything else."""
    before = lines(over_grpc)
    assert over_grpc.grpc is not None
    with grpc.insecure_channel(over_grpc.grpc) as channel:
        call = channel.unary_unary(CHECK, lambda text: text, CheckResponse.FromString)
        with pytest.raises(grpc.RpcError) as caught:
            call(message, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
    assert lines(over_grpc) == before


@pytest.mark.parametrize(
    "address", ["", "unknown", "192.0.2.7:80", "192.0.2.7, 192.0.2.8", "/run/envoy.sock"]
)
def test_what_is_no_address_is_not_audited_as_one(over_grpc: Running, holder: Client, address: str):
    """A text of Envoy's that is not one address is neither audited as one nor quoted in the log."""
    request = check_request(Asked(token=good(None), certificate=holder.der, address=address))
    assert check(over_grpc, request).denied_response.status.code == 401
    assert "address" not in over_grpc.audit()[-1]
    request.attributes.source.certificate = ""
    assert check(over_grpc, request).denied_response.status.code == 503
    assert over_grpc.log().splitlines()[-1].partition("what a proxy asks: ")[2].startswith("'GET' for None:")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("delete", "/health", 400, id="small letters"),
        pytest.param("GET, DELETE", "/health", 400, id="a list"),
        pytest.param("G\u00c9T", "/health", 400, id="not ASCII"),
        pytest.param("\uff27\uff25\uff34", "/health", 400, id="full width"),
        pytest.param("GET ", "/health", 400, id="a blank"),
        pytest.param("CONNECT", "/health", 403, id="a tunnel"),
        pytest.param("CONNECT", "", 400, id="a tunnel without a path"),
        pytest.param("OPTIONS", "*", 400, id="a star"),
        pytest.param("", "/health", 503, id="no method, which Envoy always sends"),
    ],
)
def test_what_envoy_says_of_a_request_has_one_reading(
    over_grpc: Running, holder: Client, method: str, path: str, status: int
):
    """A method that is none and a target that is no path are refused over gRPC, and reported as no outage."""
    request = check_request(Asked(token=good(holder.der), certificate=holder.der))
    request.attributes.request.http.method = method
    request.attributes.request.http.path = path
    assert check(over_grpc, request).denied_response.status.code == status
