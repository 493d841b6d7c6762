"""A hostile service nests its answers too deeply for a parser: no usable answer, no defect of ours."""

import json
import logging
import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from macaroon_cbat.errors import Refused, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.resource import KeyFeed, RevocationFeed, ServiceConnection
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.tls_servers import make_client, wait_until
from tests.support.tokens import API, GRANT, ROOT, grant

DEEP = b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b","


class Nesting(BaseHTTPRequestHandler):
    """Answers as the service does, but nests the answers on these paths."""

    members: ClassVar[dict[str, dict[str, Any]]] = {}
    nested: ClassVar[set[str]] = set()
    status: ClassVar[int] = 200

    def do_GET(self) -> None:  # the library's name
        """Answer."""
        path = self.path.partition("?")[0]
        body = json.dumps(self.members[path]).encode()
        if path in self.nested:
            body = DEEP + body[1:]
        self.send_response(self.status if path in self.nested else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:  # the library's name
        """Read the form, answer."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], ServiceConnection]]:
    """Run the service; give a resource server's connection to it."""
    folder = tmp_path_factory.mktemp("nesting")
    files, client = development_certificates(folder), make_client(folder, "api")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Nesting) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        issuer = f"https://localhost:{server.server_port}"
        now = EpochSeconds(int(time.time()))
        token = mint(audience_key(ROOT, issuer), issuer, grant(aud=issuer, iat=now, exp=now + 600), ())
        paths = {"token": "token_endpoint", "keys": "audience_keys_endpoint"}
        paths["feed"] = "revocation_feed_endpoint"
        aliases = {name: f"{issuer}/{path}" for path, name in paths.items()}
        Nesting.members = {
            "/.well-known/oauth-authorization-server": {
                "issuer": issuer,
                "token_endpoint": f"{issuer}/token",
                "mtls_endpoint_aliases": aliases,
            },
            "/token": {"access_token": token, "token_type": "Bearer", "expires_in": 600},
            "/keys": {"audiences": [], "expires_in": 60},
            "/feed": {"cursor": "0", "decisions": [], "is_last": True},
        }
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield lambda: ServiceConnection(
            issuer, "api", "s3cret", certificate=client.file, ca=folder / "ca.pem"
        )
        server.shutdown()
        thread.join()


@pytest.fixture
def again(service: Callable[[], ServiceConnection]) -> ServiceConnection:
    """Return a connection that has asked nothing yet."""
    return service()


@pytest.mark.parametrize("path", ["/.well-known/oauth-authorization-server", "/token"])
@pytest.mark.parametrize("status", [200, 403])
def test_a_nested_answer_is_refused(again, monkeypatch, path, status):
    """Nested metadata, tokens and errors are Refused, as every answer that is not the service's."""
    monkeypatch.setattr(Nesting, "nested", {path})
    monkeypatch.setattr(Nesting, "status", status)
    with pytest.raises(Refused) as refusal:
        again.keys(API)
    assert refusal.value.status == status


def test_nested_keys_are_no_keys(again, monkeypatch, log):
    """A feed that gets nested keys has none: Unavailable, with the reason in the log."""
    monkeypatch.setattr(Nesting, "nested", {"/keys"})
    with pytest.raises(Unavailable, match="nested too deeply"):
        KeyFeed(again, API).key_for(GRANT)
    assert "nested too deeply" in log.text


def test_nested_revocations_are_unknown(again, monkeypatch, log):
    """A feed that gets nested revocations goes on asking, and nothing passes meanwhile."""
    monkeypatch.setattr(Nesting, "nested", {"/feed"})
    feed = RevocationFeed(again)
    with pytest.raises(Unavailable):
        feed.reason(GRANT, None)
    wait_until(lambda: "nested too deeply" in log.text)
    monkeypatch.setattr(Nesting, "nested", set())
    wait_until(lambda: feed.age() < math.inf)
    assert feed.reason(GRANT, None) is None
    feed.stop()
    assert not [record for record in log.records if record.levelno > logging.ERROR]
