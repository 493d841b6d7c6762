"""A small OpenID Connect provider over real TLS on loopback, which does what a test says, faults included."""

import hashlib
import json
import ssl
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

from macaroon_cbat.service.upstream_settings import UpstreamSettings
from macaroon_cbat.text.base64url import encode
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.databases import NOW

CLIENT, SECRET = "macaroon-service", "Zk7-Yq2wT_9x+Vb4/m"


@dataclass
class SmallUpstream:
    """One provider; `begin_again` before each test. `faults` change what it answers."""

    port: int
    ca: Path
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one"}))
    faults: dict[str, Any] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)
    claims: dict[str, Any] = field(default_factory=dict)
    clock: Callable[[], float] = lambda: NOW

    def __post_init__(self) -> None:
        """Remember the key to begin again with."""
        self.first_key = self.key
        self.held = threading.Semaphore(0)
        """Counts the token requests that a test holds back, by the event `faults["hold"]`."""

    @property
    def issuer(self) -> str:
        """The provider's URL."""
        return f"https://localhost:{self.port}"

    def begin_again(self) -> None:
        """Forget everything that a test did."""
        self.key = self.first_key
        for state in (self.faults, self.codes, self.asked, self.claims):
            state.clear()

    def settings(self, **changes: Any) -> UpstreamSettings:
        """Return the settings of a service that sends its people here."""
        members = {"upstream_issuer": self.issuer, "upstream_client_id": CLIENT, "upstream_ca": self.ca}
        return UpstreamSettings(**(members | {"upstream_client_secret": SECRET} | changes))

    def log_in(self, url: str, **claims: Any) -> str:
        """Return the URL to which a browser is sent back when its person has logged in at this URL."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert url.startswith(f"{self.issuer}/authorize?"), url
        assert asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        self.claims = {"sub": "alice", "name": "Alice"} | claims
        answer = {"code": code, "state": asked["state"], "iss": self.issuer}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def document(self) -> dict[str, Any]:
        """Return the discovery document."""
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        urls = {name: f"{self.issuer}/{path}" for name, path in paths.items()}
        return {"issuer": self.issuer, **urls} | self.faults.get("document", {})

    def keys(self) -> dict[str, Any]:
        """Return the JWK Set."""
        return {"keys": [self.key.as_dict(private=False)]} | self.faults.get("keys", {})

    def token(self, form: dict[str, str], authorization: str | None) -> tuple[int, dict[str, Any]]:
        """Answer a token request; it proves the client and the verifier."""
        self.asked.append({"form": form, "authorization": authorization})
        if "hold" in self.faults:
            self.held.release()
            self.faults["hold"].wait(60)
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None or not self._is_proved(asked, form, authorization):
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.id_token(asked)}

    def id_token(self, asked: dict[str, str]) -> str:
        """Return the ID token for a login."""
        now = int(self.clock())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        if "max_age" in asked:
            claims["auth_time"] = now
        claims |= self.claims | self.faults.get("claims", {})
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": "ES256", "kid": self.key.kid} | self.faults.get("header", {})
        signed: str = jwt.encode(header, claims, self.faults.get("signer", self.key))
        change: Callable[[str], str] = self.faults.get("text", lambda text: text)
        return change(signed)

    def _is_proved(self, asked: dict[str, str], form: dict[str, str], authorization: str | None) -> bool:
        challenge = encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        pair = b64decode((authorization or "").removeprefix("Basic ")).decode()
        client, _, secret = pair.partition(":")
        given = (unquote_plus(client), unquote_plus(secret))
        if authorization is None:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        is_client = given == (CLIENT, SECRET)
        is_proved = challenge == asked["code_challenge"]
        return is_client and is_proved and form.get("redirect_uri") == asked["redirect_uri"]


@contextmanager
def small_upstream(folder: Path) -> Iterator[SmallUpstream]:
    """Run a provider in a thread until the block ends."""
    files = development_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    upstream = SmallUpstream(server.server_address[1], files.ca)
    server.upstream = upstream  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield upstream
    server.shutdown()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def upstream(self) -> SmallUpstream:
        found: SmallUpstream = self.server.upstream  # type: ignore[attr-defined]
        return found

    def do_GET(self) -> None:
        if self.path.startswith("/authorize?"):
            url = self.upstream.log_in(self.upstream.issuer + self.path)
            self.upstream.faults[self.path] = (303, {"Location": url}, b"")
            self._answer(303, {})
            return
        documents = {"/.well-known/openid-configuration": self.upstream.document, "/keys": self.upstream.keys}
        self.upstream.asked.append({"path": self.path})
        self._answer(200, documents[self.path]())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self._answer(*self.upstream.token(form, self.headers.get("Authorization")))

    def _answer(self, status: int, members: dict[str, Any]) -> None:
        status, headers, body = self.upstream.faults.get(
            self.path, (status, {}, json.dumps(members).encode())
        )
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass
