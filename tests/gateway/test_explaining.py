"""A gateway that a developer lets explain: the whole reason in its answers, over HTTP and gRPC."""

from pathlib import Path

import pytest

from tests.support.envoy_client import envoy_grpc
from tests.support.forged_tokens import forged
from tests.support.gateway_process import gateway
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, haproxy
from tests.support.tls_servers import make_client

FORGED = forged(good(b"a certificate"))
REASON = "the signature does not follow from key 'k1'"
WORDS = {True: REASON, False: "the signature of the token does not match"}


@pytest.mark.parametrize("explain", WORDS, ids=["explaining", "silent"])
def test_over_http(tmp_path: Path, explain: bool):  # noqa: FBT001 # parametrized
    """`explain = true` in the policy answers with the reason of the log; the default does not."""
    der = make_client(tmp_path, "holder").der
    with gateway(tmp_path, proxy={"kind": "haproxy", "trust": ["unix"]}, explain=explain) as running:
        answer = haproxy(running, Asked(token=FORGED, certificate=der))
        assert answer.status == 401
        assert WORDS[explain] in answer.body.decode()
        assert WORDS[explain] in answer.headers["WWW-Authenticate"]
        assert ("explain=True tells every client" in running.log()) == explain


def test_over_grpc(tmp_path: Path):
    """Envoy gets the same answer to send."""
    der = make_client(tmp_path, "holder").der
    listen = {"grpc": f"unix:{tmp_path}/grpc.sock"}
    proxy = {"kind": "envoy", "trust": ["unix"]}
    with gateway(tmp_path, listen=listen, proxy=proxy, explain=True) as running:
        answer = envoy_grpc(running, Asked(token=FORGED, certificate=der))
    assert answer.status == 401
    assert REASON in answer.body.decode()
