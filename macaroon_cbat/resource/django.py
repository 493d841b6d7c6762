"""The guard of a Django project, under WSGI and ASGI, for views of both kinds.

MIDDLEWARE = [..., "macaroon_cbat.resource.django.GuardMiddleware"]
MACAROON_CBAT = {"KEYS": "keys.json"}

@require("read")
def invoices(request):
    return JsonResponse({"hello": request.principal.client_id})

The names in MACAROON_CBAT are those of GuardSettings, in capitals.
"""

import re
from collections.abc import Callable, Iterator
from functools import wraps
from inspect import iscoroutine
from typing import Any, cast

import msgspec

from macaroon_cbat.errors import OAuthError, SettingsError, Unavailable
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.resource import asgi, wsgi
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.default_deny import Admitted, admitted_before, default_deny
from macaroon_cbat.resource.django_settings import before_the_guard, project_settings
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.metadata import metadata_path
from macaroon_cbat.resource.paths import NOT_UTF_8, whole_path
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import make_admission

with extra("django"):
    from asgiref.sync import iscoroutinefunction, markcoroutinefunction
    from django.http import HttpRequest, HttpResponse
    from django.urls import URLPattern, URLResolver, get_resolver

View = Callable[..., Any]

_ADMISSION = "_macaroon_cbat_admission"
_ADMITTED = "_macaroon_cbat_admitted"
_OPEN = "_macaroon_cbat_open"
_SCOPE = "_macaroon_cbat_scope"
_UNDECODABLE = re.compile("%[89A-F][0-9A-F]|[\ufffd\ud800-\udfff]")
"""The spellings that Django under WSGI, and servers under ASGI, put in place of bytes that are not UTF-8."""


class GuardMiddleware:
    """The guard that the project's settings describe; it answers the metadata document (RFC 9728), too.

    Put it first in MIDDLEWARE: what stands before it answers requests that it never judged.
    """

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        """Read the settings. Raises SettingsError that says what is missing or wrong."""
        self._get_response = get_response
        found = project_settings()
        self._admission = make_admission(found)
        self._path = metadata_path(self._admission.verifier.audience)
        self._deny = default_deny(
            found, self._admission, self._path, before_the_guard(f"{__name__}.{GuardMiddleware.__name__}")
        )
        is_async = iscoroutinefunction(get_response)
        if is_async:
            markcoroutinefunction(self)
        if self._deny is not None:  # for other projects Django would call it in a thread at each request
            self.process_view = self._later_view if is_async else self._view

    def __call__(self, request: HttpRequest) -> Any:
        """Answer the request, or pass it on to the views."""
        if request.path_info == self._path and request.method in ("GET", "HEAD"):
            document = _response(metadata_answer(self._admission, _scopes(get_resolver())), request)
            return _at_once(document) if iscoroutinefunction(self) else document
        setattr(request, _ADMISSION, self._admission)
        if self._deny is None:
            return self._get_response(request)
        return self._later(request) if iscoroutinefunction(self) else self._denied(request)

    def _denied(self, request: HttpRequest) -> HttpResponse:
        """Return the refusal of a request that needs a valid token, or what the project answers."""
        admission, presented = _presented(request)
        if not self._is_open(request, presented):
            try:
                principal = admission.admit(presented)
            except (OAuthError, Unavailable) as error:
                return _response(answer_to(error, admission, presented), request)
            setattr(request, _ADMITTED, Admitted(admission, presented, principal))
        return cast("HttpResponse", self._get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponse:
        admission, presented = _presented(request)
        if not self._is_open(request, presented):
            try:
                principal = await admit(admission, presented)
            except (OAuthError, Unavailable) as error:
                return _response(answer_to(error, admission, presented), request)
            setattr(request, _ADMITTED, Admitted(admission, presented, principal))
        return cast("HttpResponse", await self._get_response(request))

    def _is_open(self, request: HttpRequest, presented: PresentedRequest) -> bool:
        assert self._deny is not None
        setattr(request, _OPEN, self._deny.is_open(presented))
        return getattr(request, _OPEN) is True

    def _view(self, request: HttpRequest, view: View, *_: Any) -> HttpResponse | None:
        """Return the refusal of a view that is neither required nor public, or None."""
        assert self._deny is not None
        admission, presented = _presented(request)
        # Once more: a middleware behind the guard may have given the request another path.
        if getattr(request, _OPEN) and self._deny.is_open(presented):
            return None
        scope, before = getattr(view, _SCOPE, None), getattr(request, _ADMITTED, None)
        try:
            if scope is None:
                raise self._deny.unguarded(presented, None if before is None else before.principal)
            admitted_before(before, admission, presented, scope)
        except (OAuthError, Unavailable) as error:
            return _response(answer_to(error, admission, presented), request)
        return None

    async def _later_view(self, request: HttpRequest, view: View, *rest: Any) -> HttpResponse | None:
        return self._view(request, view, *rest)


def require(scope: str = "") -> Callable[[View], View]:
    """Return a decorator that runs the view only for a valid token with each of these scopes.

    `scope` is empty (any valid token), or one or more scopes with a space between two.
    Around a class-based view: `require("read")(Invoices.as_view())`. The view needs no CSRF token: no
    browser adds an Authorization header to another site's request.
    """

    def decorate(view: View) -> View:
        guarded: Any
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                admission, presented = _presented(request)
                try:
                    before = admitted_before(getattr(request, _ADMITTED, None), admission, presented, scope)
                    principal = before or await admit(admission, presented, scope)
                    setattr(request, _ADMITTED, Admitted(admission, presented, principal))
                except (OAuthError, Unavailable) as error:
                    return _response(answer_to(error, admission, presented), request)
                request.principal = principal
                return _uncached(await view(request, *args, **kwargs))

        else:

            @wraps(view)
            def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                admission, presented = _presented(request)
                try:
                    before = admitted_before(getattr(request, _ADMITTED, None), admission, presented, scope)
                    request.principal = before or admission.admit(presented, scope)
                    setattr(request, _ADMITTED, Admitted(admission, presented, request.principal))
                except (OAuthError, Unavailable) as error:
                    return _response(answer_to(error, admission, presented), request)
                return _uncached(_at_hand(view(request, *args, **kwargs)))

        guarded.csrf_exempt = True
        setattr(guarded, _SCOPE, scope)
        return cast("View", guarded)

    return decorate


def _presented(request: HttpRequest) -> tuple[Admission, PresentedRequest]:
    """Return the guard's rules, and the request as it judges it."""
    admission: Admission | None = getattr(request, _ADMISSION, None)
    if admission is None:
        raise SettingsError('MIDDLEWARE lacks "macaroon_cbat.resource.django.GuardMiddleware"')
    if hasattr(request, "scope"):
        presented, method = asgi.presented(request.scope, admission), request.scope["method"]
    else:
        presented = wsgi.presented(request.environ, admission)
        method = request.environ["REQUEST_METHOD"]
    path, why = _path(request, admission.root_path)
    return admission, msgspec.structs.replace(
        presented,
        # Django makes capital letters of any others.
        method=request.method if method == method.upper() else method,
        path=path,
        why_no_path=why,
    )


def _path(request: HttpRequest, root_path: str) -> tuple[str | None, str | None]:
    """Return the whole path, or None and why it is unknown; Django routes `path_info`.

    The project may have a script name of its own, FORCE_SCRIPT_NAME.
    """
    if _UNDECODABLE.search(request.path_info):
        return None, NOT_UTF_8
    return whole_path("SCRIPT_NAME", request.META["SCRIPT_NAME"], request.path_info, root_path)


def _response(answer: Answer, request: HttpRequest) -> HttpResponse:
    """Return the answer, without a body to HEAD: neither Django nor waitress removes it."""
    headers = {**dict(answer.headers), "Content-Length": str(len(answer.body))}
    body = b"" if request.method == "HEAD" else answer.body
    return HttpResponse(body, status=answer.status, headers=headers)


async def _at_once(response: HttpResponse) -> HttpResponse:
    return response


def _at_hand(response: Any) -> HttpResponse:
    if iscoroutine(response):
        response.close()
        raise SettingsError("around an async class-based view, the guard goes around as_view() itself")
    return response


def _uncached(response: HttpResponse) -> HttpResponse:
    """Keep the answer out of shared caches, for it depends on the certificate. A view's own header stays."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def _scopes(resolver: URLResolver) -> set[str]:
    """Return the scopes that the project's views require, as far as its URLs lead to decorated ones."""
    return {scope for view in _views(resolver) for scope in getattr(view, _SCOPE, "").split()}


def _views(resolver: URLResolver) -> Iterator[View]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield pattern.callback
        else:
            yield from _views(pattern)
