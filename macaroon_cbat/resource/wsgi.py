"""The guard around any WSGI application (PEP 3333).

guard = Guard(keys="keys.json")
app = guard.require("read")(app)

The application finds the principal in its environment under PRINCIPAL.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Unpack
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import OAuthError, Unavailable
from macaroon_cbat.macaroon.credential_headers import credentials_in_environ
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.default_deny import always_deny
from macaroon_cbat.resource.metadata import metadata_path
from macaroon_cbat.resource.overrides import overrides_in_environ
from macaroon_cbat.resource.paths import NOT_UTF_8, whole_path
from macaroon_cbat.resource.presented_proof import proof_in
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import GuardSettings, judges_of, make_admission

PRINCIPAL = "macaroon_cbat.principal"
"""Environment key of the principal. No client can write it: a header always arrives as `HTTP_...`."""


class Guard:
    """The guard around WSGI applications. It refuses unbound tokens by default."""

    def __init__(self, **settings: Unpack[GuardSettings]) -> None:
        """Verify with `keys` (a key file, a KeyFeed or AudienceKeys) or a `verifier`.

        GuardSettings has the other settings. Raises SettingsError for unusable ones.
        """
        self._judges = judges_of(settings)
        self._admission = make_admission({**settings, "caveats": self._judges}, is_around=True)
        path = metadata_path(self._admission.verifier.audience)
        self._deny = always_deny(settings, self._admission, path)
        self._path_info = path.encode().decode("latin-1")  # as PEP 3333 has its bytes
        self._scopes: set[str] = set()

    def caveat(self, name: str, judge: Judge) -> None:
        """Let this function judge the custom caveats of this name, once all others allow the request.

        It takes the caveat's JSON value and the facts of the request, and returns the reason to refuse it, or
        None. Raises SettingsError for an unusable name or judge.
        """
        self._judges.add(name, judge)

    def require(self, scope: str = "") -> Callable[[WSGIApplication], WSGIApplication]:
        """Return a function that guards an application: each request needs each of these scopes.

        `scope` is empty (any valid token), or one or more scopes with a space between two. Requests for the
        metadata document (RFC 9728) and for public paths need no token.
        """
        self._scopes.update(scope.split())

        def around(app: WSGIApplication) -> WSGIApplication:
            def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
                if environ.get("PATH_INFO") == self._path_info and environ["REQUEST_METHOD"] in (
                    "GET",
                    "HEAD",
                ):
                    return self.document(environ, start_response)
                request = presented(environ, self._admission)
                if self._deny.is_open(request):
                    environ.pop(PRINCIPAL, None)
                    return app(environ, start_response)
                try:
                    environ[PRINCIPAL] = self._admission.admit(request, scope)
                except (OAuthError, Unavailable) as error:
                    return _send(answer_to(error, self._admission, request), environ, start_response)
                return app(environ, _uncached(start_response))

            return guarded

        return around

    def document(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer with the metadata document, wherever the deployer mounts this application."""
        return _send(metadata_answer(self._admission, self._scopes), environ, start_response)


def presented(environ: WSGIEnvironment, admission: Admission) -> PresentedRequest:
    """Return the request of a WSGI environment, as the guard judges it."""
    path, why = _path(environ, admission.root_path)
    credentials = credentials_in_environ(environ)
    return PresentedRequest(
        now=admission.now(),
        authorization=environ.get("HTTP_AUTHORIZATION"),
        connection=WsgiConnection(environ),
        method=environ["REQUEST_METHOD"],
        path=path,
        address=environ.get("REMOTE_ADDR"),
        why_no_path=why,
        overrides=overrides_in_environ(environ),
        credentials=credentials,
        proof=proof_in(environ, credentials) if credentials else None,
    )


def _path(environ: WSGIEnvironment, root_path: str) -> tuple[str | None, str | None]:
    """Return the percent-decoded path, or None and why it is unknown; the environment has it as Latin-1."""
    prefix, path = environ.get("SCRIPT_NAME", ""), environ.get("PATH_INFO", "")
    if not (prefix.isascii() and path.isascii()):
        try:
            prefix, path = prefix.encode("latin-1").decode(), path.encode("latin-1").decode()
        except UnicodeError:
            return None, NOT_UTF_8
    return whole_path("SCRIPT_NAME", prefix, path, root_path)


def _send(answer: Answer, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    length = ("Content-Length", str(len(answer.body)))
    start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", [*answer.headers, length])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]


def _uncached(start_response: StartResponse) -> StartResponse:
    """Keep the answer out of shared caches, for it depends on the certificate. An own header stays."""

    def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Callable[[bytes], object]:
        if not any(name.lower() == "cache-control" for name, _ in headers):
            headers = [*headers, ("Cache-Control", "no-store")]
        return start_response(status, headers, *exc_info)

    return start
