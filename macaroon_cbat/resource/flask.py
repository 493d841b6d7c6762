"""The Flask extension: `Guard(app, keys=...)`, `@guard.require("read")`, `current_principal`."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, ParamSpec, Unpack, cast

from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import OAuthError, SettingsError, Unavailable
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.credential_headers import credentials_in_environ
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.default_deny import Admitted, DefaultDeny, admitted_before, default_deny
from macaroon_cbat.resource.metadata import metadata_path
from macaroon_cbat.resource.overrides import overrides_in_environ
from macaroon_cbat.resource.paths import NOT_UTF_8, whole_path
from macaroon_cbat.resource.presented_proof import proof_in
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import GuardSettings, check_settings, judges_of, make_admission
from macaroon_cbat.resource.wsgi import PRINCIPAL

with extra("flask"):
    from flask import Flask, Request, Response, current_app, has_request_context, request
    from flask.views import MethodView
    from werkzeug.local import LocalProxy

Parameters = ParamSpec("Parameters")

_ADMITTED = "macaroon_cbat.admitted"
_REQUIRED = "_macaroon_cbat_required"
_UNDECODABLE = "\ufffd"
"""The character that Werkzeug puts in place of bytes that are not UTF-8."""


def _current_principal() -> Principal:
    found = request.environ.get(PRINCIPAL) if has_request_context() else None
    # A client of a server that speaks uWSGI's protocol, SCGI or FastCGI may write text under any key.
    if isinstance(found, Principal):
        return found
    raise RuntimeError("current_principal is known only inside a view under @guard.require(...)")


current_principal: Principal = cast("Principal", LocalProxy(_current_principal))
"""The principal of the current request, inside a view under `@guard.require(...)`."""


class Guard:
    """The guard of a Flask application's views. It refuses unbound tokens by default."""

    def __init__(self, app: Flask | None = None, **settings: Unpack[GuardSettings]) -> None:
        """Verify with `keys` (a key file, a KeyFeed or AudienceKeys) or a `verifier` such as Introspection.

        GuardSettings has the other settings. An application factory leaves `app` and `keys` out here and
        calls `init_app(app)`, which takes the keys from `app.config["MACAROON_CBAT_KEYS"]`. Raises
        SettingsError for unusable settings.
        """
        check_settings(settings)
        self._judges = judges_of(settings)
        self._settings: GuardSettings = {**settings, "caveats": self._judges}
        self._scopes: set[str] = set()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Guard this application. Raises SettingsError if keys are missing or it has a guard already."""
        settings = self._settings
        if settings.get("verifier") is None and settings.get("keys") is None:
            settings = {**settings, "keys": app.config.get("MACAROON_CBAT_KEYS")}
        admission = make_admission(settings)
        if "macaroon_cbat" in app.extensions:
            raise SettingsError("this application has a guard already: use that one")
        app.extensions["macaroon_cbat"] = {self: admission}

        path = metadata_path(admission.verifier.audience)
        deny = default_deny(settings, admission, path)

        # No URL rule: those of Werkzeug read <x> as a variable, and redirect to the Host that came.
        @app.before_request
        def oauth_protected_resource() -> Response | None:
            asked = _current_request()
            if asked.path == path and asked.method in ("GET", "HEAD"):
                return _response(metadata_answer(admission, self._scopes))
            return None if deny is None else self._through(deny)

        # First: the application's own functions before a request may answer it.
        first = app.before_request_funcs[None]
        first.insert(0, first.pop())

    def caveat(self, name: str, judge: Judge) -> None:
        """Let this function judge the custom caveats of this name, once all others allow the request.

        It takes the caveat's JSON value and the facts of the request, and returns the reason to refuse it, or
        None. Raises SettingsError for an unusable name or judge.
        """
        self._judges.add(name, judge)

    def require(self, scope: str = "") -> Callable[[Callable[Parameters, Any]], Callable[Parameters, Any]]:
        """Return a decorator that runs the view only for a valid token with each of these scopes.

        `scope` is empty (any valid token), or one or more scopes with a space between two.
        """
        self._scopes.update(scope.split())

        def decorate(view: Callable[Parameters, Any]) -> Callable[Parameters, Any]:
            is_async = iscoroutinefunction(view)

            @wraps(view)
            def guarded(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Any:
                app = _current_app()
                admission = self._admission(app)
                asked = _current_request()
                environ, presented = asked.environ, _presented(asked, admission)
                try:
                    found = admitted_before(environ.get(_ADMITTED), admission, presented, scope)
                    # Unlike `g` the environment never outlives the request.
                    if found is None:
                        found = admission.admit(presented, scope)
                        environ[_ADMITTED] = Admitted(admission, presented, found)
                    environ[PRINCIPAL] = found
                except (OAuthError, Unavailable) as error:
                    return _response(answer_to(error, admission, presented))
                run = app.ensure_sync(view) if is_async else view
                return _uncached(app.make_response(run(*args, **kwargs)))

            setattr(guarded, _REQUIRED, (self, scope))
            return guarded

        return decorate

    def _through(self, deny: DefaultDeny) -> Response | None:
        """Return the refusal of a request that may not reach its view, or None."""
        asked, admission = _current_request(), deny.admission
        asked.environ.pop(_ADMITTED, None)
        presented = _presented(asked, admission)
        if deny.is_open(presented):
            return None
        scope = self._required(_current_app().view_functions.get(asked.endpoint or ""))
        try:
            principal = admission.admit(presented, scope or "")
            # Without a view there is nothing to guard: a valid token learns that it is 404 or a redirect.
            if scope is None and asked.routing_exception is None:
                raise deny.unguarded(presented, principal)
        except (OAuthError, Unavailable) as error:
            return _response(answer_to(error, admission, presented))
        asked.environ[_ADMITTED] = Admitted(admission, presented, principal)
        return None

    def _required(self, view: Any) -> str | None:
        """Return the scopes that this guard requires for the view, or None if it does not guard it."""
        view_class = getattr(view, "view_class", MethodView)
        if not hasattr(view, _REQUIRED) and view_class.dispatch_request is MethodView.dispatch_request:
            method = "get" if request.method == "HEAD" and not hasattr(view_class, "head") else request.method
            view = getattr(view_class, method.lower(), None)
        guard, scope = getattr(view, _REQUIRED, (None, None))
        return scope if guard is self else None

    def _admission(self, app: Flask) -> Admission:
        """Return this guard's rules for the application, never another guard's, maybe laxer ones."""
        installed: dict[Guard, Admission] = app.extensions.get("macaroon_cbat", {})
        if self not in installed:
            raise SettingsError("a view is under a guard on which init_app(app) was never called")
        return installed[self]


# Each attribute of a proxy of Flask's finds the object anew, so a guard finds it once.
_current_app: Callable[[], Flask] = cast("Any", current_app)._get_current_object  # noqa: SLF001 # documented
_current_request: Callable[[], Request] = cast("Any", request)._get_current_object  # noqa: SLF001 # the same


def _presented(asked: Request, admission: Admission) -> PresentedRequest:
    environ = asked.environ
    method: str = environ["REQUEST_METHOD"]
    path, why = _path(asked, admission.root_path)
    credentials = credentials_in_environ(environ)
    return PresentedRequest(
        now=admission.now(),
        authorization=environ.get("HTTP_AUTHORIZATION"),
        connection=WsgiConnection(environ),
        # Werkzeug makes capital letters of any others.
        method=asked.method if method == method.upper() else method,
        path=path,
        address=environ.get("REMOTE_ADDR"),
        why_no_path=why,
        overrides=overrides_in_environ(environ),
        credentials=credentials,
        proof=proof_in(environ, credentials) if credentials else None,
    )


def _path(asked: Request, root_path: str) -> tuple[str | None, str | None]:
    """Return the whole path, or None and why it is unknown; Werkzeug routes `request.path`."""
    environ, path = asked.environ, asked.path
    if _UNDECODABLE in path:
        return None, NOT_UTF_8
    path_info: str = environ.get("PATH_INFO", "")
    if path_info and not path_info.startswith("/"):
        path = path_info
    return whole_path("SCRIPT_NAME", environ.get("SCRIPT_NAME", ""), path, root_path)


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, list(answer.headers))


def _uncached(response: Response) -> Response:
    """Keep the answer out of shared caches unless the view decided: it depends on the certificate."""
    headers = response.headers
    # Not by setdefault: it looks by way of an exception, and an answer has few headers.
    for name, _ in headers:
        if name.lower() == "cache-control":
            return response
    headers.add("Cache-Control", "no-store")
    return response
