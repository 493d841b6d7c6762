"""The Flask extension: `Guard(app, keys=...)`, `@guard.require("read")`, `current_principal`."""

import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, cast

from flask import Flask, Response, current_app, has_request_context, jsonify, make_response, request
from werkzeug.local import LocalProxy

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import OAuthError, SettingsError, Unavailable
from macaroon_cbat.peer import PeerSource, tls_connection
from macaroon_cbat.resource.admission import (
    Admission,
    AudienceKeySource,
    Clock,
    PresentedRequest,
    TokenVerifier,
    checked_origin,
    checked_skew,
    offline_or,
    origin_of,
)
from macaroon_cbat.resource.answers import Answer, refusal, unavailable
from macaroon_cbat.resource.metadata import metadata_path, protected_resource_metadata
from macaroon_cbat.resource.revocation_feed import RevocationFeed
from macaroon_cbat.verification import Principal
from macaroon_cbat.wsgi_hop import WsgiHop

Parameters = ParamSpec("Parameters")
_PRINCIPAL = "macaroon_cbat.principal"
"""Environment key of the principal: unlike `g` it never outlives the request."""

_UNDECODABLE = "\ufffd"
"""What Werkzeug puts in the place of bytes that are not UTF-8."""


def _current_principal() -> Principal:
    if not has_request_context() or _PRINCIPAL not in request.environ:
        raise RuntimeError("current_principal is known only inside a view under @guard.require(...)")
    return cast("Principal", request.environ[_PRINCIPAL])


current_principal: Principal = cast("Principal", LocalProxy(_current_principal))
"""The principal of the request at hand, inside a view under `@guard.require(...)`."""


class Guard:
    """What stands before the resources of a Flask application. Refuses unbound tokens by default."""

    def __init__(  # noqa: PLR0913 # one keyword a setting
        self,
        app: Flask | None = None,
        *,
        keys: AudienceKeySource | Path | str | None = None,
        revocations: RevocationFeed | None = None,
        verifier: TokenVerifier | None = None,
        require_certificate: bool = True,
        origin: str | None = None,
        clock_skew: int = 30,
        peer: PeerSource = tls_connection,
        clock: Clock = time.time,
    ) -> None:
        """Verify with `keys` (a key file or a KeyFeed) or a `verifier` such as Introspection.

        With `keys`, `revocations` is the feed of what is taken back before it expires. The service's
        clock and this one may differ by `clock_skew` seconds.

        `origin` (default: that of the audience) is what `htu` caveats are compared with; `peer` finds
        the client certificate. With an application factory, leave `app` and `keys` out here and call
        `init_app(app)`, which takes the key file from `app.config["MACAROON_CBAT_KEYS"]`.
        """
        self._keys, self._verifier, self._revocations = keys, verifier, revocations
        self._clock_skew = checked_skew(clock_skew)
        self._require_certificate = require_certificate
        self._origin = origin
        self._peer = peer
        self._clock = clock
        self._scopes: set[str] = set()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Guard this application, or raise SettingsError that says what is missing."""
        configured = app.config.get("MACAROON_CBAT_KEYS") if self._verifier is None else None
        verifier = offline_or(self._keys or configured, self._verifier, self._revocations)
        admission = Admission(
            verifier=verifier,
            require_certificate=self._require_certificate,
            clock_skew=self._clock_skew,
            peer=self._peer,
            origin=origin_of(verifier.audience) if self._origin is None else checked_origin(self._origin),
        )
        if "macaroon_cbat" in app.extensions:
            raise SettingsError("this application has a guard already")
        app.extensions["macaroon_cbat"] = {self: admission}

        @app.get(metadata_path(verifier.audience))
        def oauth_protected_resource() -> Response:
            return jsonify(protected_resource_metadata(admission, self._scopes))

    def require(self, scope: str = "") -> Callable[[Callable[Parameters, Any]], Callable[Parameters, Any]]:
        """Return a decorator that lets a request pass to the view only with each of these scopes."""
        self._scopes.update(scope.split())

        def decorate(view: Callable[Parameters, Any]) -> Callable[Parameters, Any]:
            @wraps(view)
            def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
                admission = self._admission()
                try:
                    principal = admission.admit(self._presented(), scope)
                except OAuthError as error:
                    return _response(refusal(error, admission))
                except Unavailable as error:
                    return _response(unavailable(error, f"{request.method} {request.path!r}"))
                request.environ[_PRINCIPAL] = principal
                return _uncached(make_response(current_app.ensure_sync(view)(*args, **kwargs)))

            return guarded

        return decorate

    def _admission(self) -> Admission:
        """Return this guard's rules for the application at hand, never another guard's, maybe laxer ones."""
        installed: dict[Guard, Admission] = current_app.extensions.get("macaroon_cbat", {})
        if self not in installed:
            raise SettingsError("a view is under a guard on which init_app(app) was never called")
        return installed[self]

    def _presented(self) -> PresentedRequest:
        environ = request.environ
        path = request.root_path.rstrip("/") + request.path
        return PresentedRequest(
            now=EpochSeconds(int(self._clock())),
            authorization=environ.get("HTTP_AUTHORIZATION"),
            hop=WsgiHop(environ),
            method=request.method,
            path=None if _UNDECODABLE in path else path,
            address=environ.get("REMOTE_ADDR"),
        )


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, list(answer.headers))


def _uncached(response: Response) -> Response:
    """Keep the answer out of shared caches unless the view decided: it depends on the certificate."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response
