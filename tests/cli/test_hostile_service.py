"""A hostile service or token: what it says is shown, and does nothing to the terminal of the operator."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme

from macaroon_cbat.cli.options import print_json
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import mint
from tests.support.command_line import API, ROOT_KEY, call, complaint

EVIL = "a\x1b[2J\x1b]0;owned\x07\r\nError: forged\u2028forged\x9b2J\u202e\x7f"


class Hostile(BaseHTTPRequestHandler):
    """Answers every request with what the test wants it to."""

    answer: tuple[int, dict[str, Any]] = (400, {})
    metadata: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:  # the library's name
        """Show the metadata."""
        self._send(200, self.metadata)

    def do_POST(self) -> None:  # the library's name
        """Answer at the token endpoint."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self._send(*self.answer)

    def _send(self, status: int, members: dict[str, Any]) -> None:
        body = json.dumps(members).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the issuer and the CA of a service that is not ours."""
    folder, ca = tmp_path_factory.mktemp("hostile"), trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    issuer = f"https://localhost:{server.server_port}"
    Hostile.metadata = {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield issuer, folder / "ca.pem"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"error": "invalid_grant", "error_description": EVIL}),
        (400, {"error": EVIL}),
        (500, {"error": EVIL, "error_description": EVIL}),
        (200, {"access_token": EVIL, "token_type": "Bearer", "expires_in": 600}),
        (200, {"access_token": "AgE", "token_type": EVIL, "expires_in": 600}),
        (200, {"access_token": "AgE", "token_type": "Bearer", "expires_in": EVIL}),
        (200, {EVIL: EVIL}),
    ],
    ids=["description", "code", "500", "token", "type", "lifetime", "member"],
)
def test_what_a_service_says_is_one_line(hostile, answer):
    """A hostile answer of a service makes token mint fail in one printable line."""
    issuer, ca = hostile
    Hostile.answer = answer
    options = ("--client-id", "billing", "--client-secret", "x", "--resource", API, "--scope", "read")
    result = call("token", "mint", "--issuer", issuer, "--cacert", ca, *options)
    assert complaint(result, 1).isprintable()


def hostile_token() -> str:
    """Return a token whose identifier is hostile, as an attacker can write one."""
    grant = Grant(
        aud=API,
        client_id=EVIL,
        exp=EpochSeconds(2),
        iat=EpochSeconds(1),
        jti=EVIL,
        kid=EVIL,
        scope=EVIL,
        sub=EVIL,
    )
    return mint(audience_key(ROOT_KEY, API), EVIL, grant, ())


def test_what_a_token_says_is_shown_as_text():
    """The command token inspect shows a hostile token in printable lines, as text and as JSON."""
    text = hostile_token()
    for options in ((), ("--json",)):
        result = call("token", "inspect", *options, stdin=text)
        assert result.exit_code == 0
        assert all(line.isprintable() for line in result.stdout.split("\n"))
        assert "forged" in result.stdout


def test_json_is_ascii(capsys):
    """JSON for scripts says the same in ASCII, without a control character."""
    print_json({"name": EVIL})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": EVIL}
    assert all(line.isascii() and line.isprintable() for line in shown.split("\n"))
