"""A discharger made of the macaroon bakery for Python, over TLS in a thread of the test."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import trustme
from macaroonbakery import bakery, checkers, httpbakery

from tests.support.tls_servers import SECONDS


@dataclass
class BakeryDischarger(bakery.ThirdPartyLocator, bakery.ThirdPartyCaveatChecker):  # type: ignore[misc]
    """A discharger at `url`, and a second one at `url`/second, which the first one asks."""

    url: str
    ca: Path
    key: Any = field(default_factory=bakery.generate_key)
    asked: list[str] = field(default_factory=list)
    declares: str = "alice"

    def third_party_info(self, _location: str) -> Any:
        """Return its own public key: it is both dischargers."""
        return bakery.ThirdPartyInfo(version=bakery.LATEST_VERSION, public_key=self.key.public_key)

    def check_third_party_caveat(self, _context: Any, info: Any) -> list[Any]:
        """Confirm `ok` and `nested`, which needs a further discharge; refuse all else."""
        self.asked.append(info.condition)
        if info.condition == "nested":
            return [checkers.Caveat(condition="ok", location=f"{self.url}/second")]
        if info.condition != "ok":
            raise bakery.ThirdPartyCaveatCheckFailed("no, thank you")
        end = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=5)  # the bakery adds the zone
        return [checkers.time_before_caveat(end), checkers.declared_caveat("username", self.declares)]

    def answer(self, path: str, form: dict[str, str] | None) -> tuple[int, dict[str, Any]]:
        """Return the answer to a request, with a form for POST."""
        if form is None:
            return 200, {"PublicKey": str(self.key.public_key), "Version": bakery.LATEST_VERSION}
        assert path in ("/discharge", "/second/discharge")
        try:
            macaroon = httpbakery.discharge(checkers.AuthContext(), form, self.key, self, self)
        except bakery.ThirdPartyCaveatCheckFailed as error:
            return 401, {"Code": "permission denied", "Message": str(error)}
        return 200, {"Macaroon": macaroon.to_dict()}


@contextmanager
def bakery_discharger(folder: Path) -> Iterator[BakeryDischarger]:
    """Run a discharger until the block ends."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "bakery-ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_GET(self) -> None:
            """Show the public key."""
            self._send(discharger.answer(self.path, None))

        def do_POST(self) -> None:
            """Discharge."""
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._send(discharger.answer(self.path, dict(parse_qsl(body))))

        def log_message(self, *_: object) -> None:
            """Log nothing."""

        def _send(self, answer: tuple[int, dict[str, Any]]) -> None:
            content = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("localhost", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{server.server_address[1]}"
        discharger = BakeryDischarger(url, folder / "bakery-ca.pem")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield discharger
        server.shutdown()
        thread.join(SECONDS)
