"""A resource server that verifies with the core, and authorization servers of every temper; WSGI.

Runs as `python -m tests.support.token_service FOLDER` behind the embedded TLS server, which shows it the
certificate of each connection. The first part of the path chooses:

    /api/...          verifies the child and answers what it saw of the request
    /echo             answers the Authorization header and the certificate, unverified
    /large            answers more than the buffers on the way hold
    /redirect?to=     redirects with 307
    /pay?to=          notes a payment and redirects with 303; /paid/asked answers the payments
    /revoke?jti=      makes /api refuse a token
    /clock?ahead=     is /api with a clock so many seconds ahead, which its Date shows unless `date` is given;
                      with `age` the answer comes from a cache
    /TEMPER/...       an issuer, see `_GRANTS`; /TEMPER/asked answers what its token endpoint was asked
"""

import base64
import json
import sys
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from macaroon_cbat import Access, EpochSeconds, audience_keys, confirmation, verify
from macaroon_cbat.certificate.source import tls_connection
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import OAuthError
from macaroon_cbat.macaroon.bearer import challenge, read_credentials
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve
from tests.support.client_files import AUDIENCE, ISSUER, ROOT, make_token
from tests.support.tokens import token_revocation

Answer = tuple[str, dict[str, str], bytes]
KEYS = audience_keys(ISSUER, AUDIENCE, [ROOT])
LARGE = 20_000_000
WELL_KNOWN = "/.well-known/oauth-authorization-server/"

_lock = threading.Lock()
_revoked: set[str] = set()
_asked: dict[str, list[dict[str, Any]]] = {}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    status, headers, body = _route(environ)
    start_response(status, [*headers.items(), ("Content-Length", str(len(body)))])
    return [body]


def _route(environ: dict[str, Any]) -> Answer:
    path: str = environ["PATH_INFO"]
    if path.startswith(WELL_KNOWN):
        return _metadata(environ, path.removeprefix(WELL_KNOWN))
    first, _, rest = path[1:].partition("/")
    if first in _PAGES:
        return _PAGES[first](environ)
    return _json(_asked.get(first, [])) if rest == "asked" else _token(environ, first, rest)


def _echo(environ: dict[str, Any]) -> Answer:
    certificate = tls_connection(WsgiConnection(environ)).thumbprint
    sent = {name: environ.get(name) for name in ("HTTP_AUTHORIZATION", "HTTP_X_DISCHARGE_MACAROON")}
    return _json({"authorization": sent["HTTP_AUTHORIZATION"], "certificate": certificate, **sent})


def _redirect(environ: dict[str, Any]) -> Answer:
    return "307 Temporary Redirect", {"Location": parse_qs(environ["QUERY_STRING"])["to"][0]}, b""


def _pay(environ: dict[str, Any]) -> Answer:
    query = parse_qs(environ["QUERY_STRING"])
    with _lock:
        _asked.setdefault("paid", []).append(
            {"method": environ["REQUEST_METHOD"], "number": query["number"][0]}
        )
    return "303 See Other", {"Location": query["to"][0]}, b""


def _revoke(environ: dict[str, Any]) -> Answer:
    _revoked.update(parse_qs(environ["QUERY_STRING"])["jti"])
    return _json(sorted(_revoked))


def _clock(environ: dict[str, Any]) -> Answer:
    query = parse_qs(environ["QUERY_STRING"])
    ahead = int(query["ahead"][0])
    status, headers, body = _api(environ, ahead)
    aged = {"Age": query["age"][0]} if "age" in query else {}
    date = query["date"][0] if "date" in query else formatdate(time.time() + ahead, usegmt=True)
    return status, {**headers, **aged, "Date": date}, body


def _api(environ: dict[str, Any], ahead: int = 0) -> Answer:
    environ["wsgi.input"].read()
    certificate = tls_connection(WsgiConnection(environ)).thumbprint
    access = Access(
        now=EpochSeconds(int(time.time()) + ahead),
        audience=AUDIENCE,
        certificate=certificate,
        method=environ["REQUEST_METHOD"],
        target=Target(f"https://{environ['HTTP_HOST']}", environ["PATH_INFO"]),
    )
    try:
        _, token = read_credentials(environ.get("HTTP_AUTHORIZATION"))
        sent = environ.get("HTTP_X_DISCHARGE_MACAROON")
        discharges = () if sent is None else sent.split(",")
        revocations = Revocations(map(token_revocation, _revoked))
        principal = verify(token, KEYS, access, revocations=revocations, discharges=discharges)
    except OAuthError as error:
        status = f"{error.status} Refused"
        # Two fields of the name: servers may send a challenge in each (RFC 9110 11.6.1).
        fields = {"www-authenticate": 'Basic realm="x"', "WWW-Authenticate": challenge(error, realm="test")}
        return status, fields, str(error).encode()
    seen = {"token": token, "certificate": certificate, "connection": environ["REMOTE_PORT"]}
    return _json({**seen, "jti": principal.token_id, "expires_at": principal.expires_at})


def _metadata(environ: dict[str, Any], temper: str) -> Answer:
    issuer = f"https://{environ['HTTP_HOST']}/{temper}"
    document: dict[str, Any] = {"issuer": issuer, "token_endpoint": f"{issuer}/token"}
    if temper == "foreign":
        document["issuer"] = "https://other.example"
    if temper == "plain":
        document["token_endpoint"] = f"http://{environ['HTTP_HOST']}/plain/token"
    if temper == "aliased":
        document["mtls_endpoint_aliases"] = {"token_endpoint": f"{issuer}/mtls"}
    if temper.startswith("device."):
        document |= {
            f"{name}_endpoint": f"{issuer}/{name}" for name in ("device_authorization", "revocation")
        }
    if temper == "unpublished":
        return "404 Not Found", {}, b"<h1>not here</h1>"
    return _json(document)


def _token(environ: dict[str, Any], temper: str, endpoint: str) -> Answer:
    form = parse_qs(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode())
    certificate = tls_connection(WsgiConnection(environ)).thumbprint
    with _lock:
        asked = _asked.setdefault(temper, [])
        number = len(asked)
        header = environ.get("HTTP_AUTHORIZATION", "")
        basic = base64.b64decode(header.removeprefix("Basic ")).decode()
        asked.append({"endpoint": endpoint, "basic": basic, "form": form, "certificate": certificate})
    bound = (confirmation(certificate),) if certificate and temper == "bound" else ()
    granted = {
        "access_token": make_token(*bound, number=sum(map(ord, temper)) * 1000 + number),
        "token_type": "Bearer",
        "expires_in": 600,
    }
    if temper == "secret-is-new" and basic != "billing:new":
        return "401 Unauthorized", {}, b'{"error":"invalid_client"}'
    if temper.startswith("device."):
        polls = [one for one in asked if one["endpoint"] == "token"]
        return _device(environ, temper.split(".")[1:], endpoint, granted, len(polls))
    return _GRANTS.get(temper, _usual)(granted)


def _device(
    environ: dict[str, Any], answers: list[str], endpoint: str, granted: dict[str, Any], number: int
) -> Answer:
    """Answer a device: token requests as the words of the temper say in turn, the last one from then on."""
    if endpoint == "device_authorization":
        uri = f"https://{environ['HTTP_HOST']}/device"
        codes = {"device_code": "secret", "user_code": "WDJB-MJHT", "verification_uri": uri}
        return _json({**codes, "expires_in": 60, "interval": 5} | _ODD_CODES.get(answers[0], {}))
    word = answers[min(number, len(answers)) - 1]
    if endpoint == "revocation":
        return _GRANTS["broken"](granted) if word == "broken" else _json({})
    if word == "granted":
        return _json({**granted, "refresh_token": f"refresh-{number}", "scope": "read"})
    if word in ("broken", "opaque"):
        return _GRANTS[word](granted)
    return _json({"error": word, "error_description": "as asked"}, "400 Bad Request")


def _usual(granted: dict[str, Any]) -> Answer:
    return _json(granted)


def _dated(granted: dict[str, Any], ahead: int) -> Answer:
    status, headers, body = _json(granted)
    return status, {**headers, "Date": formatdate(time.time() + ahead, usegmt=True)}, body


def _later(granted: dict[str, Any], seconds: float) -> Answer:
    time.sleep(seconds)
    return _json(granted)


def _nested(answer: Answer) -> Answer:
    """Return the answer with a further member that is nested deeper than a parser follows."""
    status, headers, body = answer
    return status, headers, b'{"x":' + b"[" * 20_000 + b"]" * 20_000 + b"," + body[1:]


def _json(value: Any, status: str = "200 OK") -> Answer:
    return status, {"Content-Type": "application/json"}, json.dumps(value).encode()


_ODD_CODES: dict[str, dict[str, Any]] = {
    "plain-uri": {"verification_uri": "http://evil.example/device"},
    "script-uri": {"verification_uri": "javascript:alert(1)"},
    "terminal-code": {"user_code": "\x1b[2J"},
    "long-code": {"user_code": "B" * 61},
    "endless-code": {"expires_in": 10**12},
    "hurried-code": {"interval": 0},
    "no-code": {"device_code": None},
}
_PAGES: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "api": _api,
    "clock": _clock,
    "echo": _echo,
    "nested-page": lambda _: _nested(_json({"name": "billing"})),
    "text-page": lambda _: ("200 OK", {}, b"<h1>administration</h1>"),
    "large": lambda _: ("200 OK", {}, b"x" * LARGE),
    "pay": _pay,
    "redirect": _redirect,
    "revoke": _revoke,
}
_GRANTS: dict[str, Callable[[dict[str, Any]], Answer]] = {
    "slow": lambda granted: _later(granted, 0.3),
    "hanging": lambda granted: _later(granted, 1),
    "slow-clock": lambda granted: _dated(granted, 3600),
    "fleeting": lambda granted: _json({**granted, "expires_in": 2}),
    "refusing": lambda _: _json(
        {"error": "invalid_scope", "error_description": "not for you\x1b[2J"}, "400 Bad Request"
    ),
    "unauthenticated": lambda _: _json({"error": "invalid_client"}, "401 Unauthorized"),
    "teapot": lambda _: ("418 Teapot", {}, b"<h1>short and stout</h1>"),
    "broken": lambda _: _json({"error": "server_error"}, "503 Service Unavailable"),
    "page": lambda _: ("200 OK", {"Content-Type": "text/html"}, b"<h1>log in</h1>"),
    "empty": lambda _: _json({}),
    "nested": lambda granted: _nested(_json(granted)),
    "nested-refusal": lambda granted: _nested(_json({"error": "invalid_grant"}, "400 Bad Request")),
    "tokenless": lambda granted: _json({**granted, "access_token": None}),
    "untyped": lambda granted: _json({**granted, "token_type": "mac"}),
    "endless": lambda granted: _json({key: granted[key] for key in ("access_token", "token_type")}),
    "expired": lambda granted: _json({**granted, "expires_in": 0}),
    "opaque": lambda granted: _json({**granted, "access_token": "2YotnFZFEjr1zCsicMWpAA"}),
    "huge": lambda granted: _json({**granted, "padding": "x" * 100_000}),
    "moved": lambda _: ("307 Temporary Redirect", {"Location": "/usual/token"}, b""),
}


def main() -> None:
    """Serve until SIGTERM; say the port."""
    files = development_certificates(Path(sys.argv[1]))
    serve(
        lambda: application,
        port=0,
        certificate=files.certificate,
        key=files.key,
        on_ready=lambda _, port: print(port, flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    main()
