"""Flask with less work at each request: about half of its own time, which was a third of a token's."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from weakref import ref

from flask import Flask, Request
from flask.sessions import NullSession, SecureCookieSession, SecureCookieSessionInterface
from werkzeug.routing import MapAdapter, Rule


class Application(Flask):
    """A Flask application that makes no sessions, and finds its busiest routes at once."""

    def __init__(self, name: str) -> None:
        """Serve no files."""
        super().__init__(name, static_folder=None)
        self.session_interface = _NoSessions()
        self._plain: dict[int, ref[Callable[..., Any]]] = {}
        self._at_once: dict[tuple[str, str], Rule] = {}

    def find_at_once(self, *endpoints: str) -> None:
        """Match these endpoints, whose paths have no variable part, by their whole path and method."""
        for endpoint in endpoints:
            [rule] = self.url_map.iter_rules(endpoint)
            self._at_once |= {
                (method, rule.rule): rule for method in rule.methods or () if method != "OPTIONS"
            }

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the request's URL, unless an embedding application restricts its hosts."""
        if request is not None and self.config["TRUSTED_HOSTS"] is None:
            environ = request.environ
            rule = self._at_once.get((environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")))
            if rule is not None:
                return _Matched(self, request, rule)
        return super().create_url_adapter(request)

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, or one that waits for it; ask but once whether it is a coroutine."""
        number = id(func)
        known = self._plain.get(number)
        if known is not None and known() is func:
            return func
        found = super().ensure_sync(func)
        if found is func:
            with suppress(TypeError):  # of some objects there are no weak references
                # Weak: a function of `after_this_request` must not stay, and its request with it.
                self._plain[number] = ref(func, lambda _: self._plain.pop(number, None))
        return found


class _Matched(MapAdapter):
    """The one match that is known; whatever else a URL adapter does is left to a real one."""

    def __init__(self, app: Application, request: Request, rule: Rule) -> None:
        self._app, self._request, self._rule = app, request, rule

    def match(self, *_: Any, **__: Any) -> Any:
        """Return the rule, which has no variable part."""
        return self._rule, {}

    def __getattr__(self, name: str) -> Any:
        """Make a real adapter at the first use of anything else."""
        real = Flask.create_url_adapter(self._app, self._request)
        vars(self).update(vars(real))
        return getattr(real, name)


class _NoSessions(SecureCookieSessionInterface):
    """Sessions in cookies for an embedding application that sets a secret key; the service has its own."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the cookie's session, or without a key the one that refuses every change."""
        return super().open_session(app, request) if app.secret_key else _NONE


_NONE = NullSession()
