"""People in their browsers: the person who has logged in, and the way to the login of one who has not."""

from collections.abc import Callable

from flask import Request, Response
from msgspec import Struct

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import write_done
from macaroon_cbat.service.authorization.login import Login
from macaroon_cbat.service.authorization.sessions import Sessions, public_name
from macaroon_cbat.service.http.responses import see_other
from macaroon_cbat.service.pages.forms import Forms, Visit

_COOKIE = "session"


class Person(Struct, frozen=True):
    """The person of the browser at hand; `session` names the login and does not give its cookie away."""

    subject: str
    name: str
    session: str
    authenticated_at: EpochSeconds | None
    began_at: EpochSeconds


class People:
    """The people who log in at the upstream provider."""

    def __init__(self, login: Login, sessions: Sessions, forms: Forms, clock: Callable[[], float]) -> None:
        """Let them log in so, and remember them so."""
        self.login, self.sessions, self.forms = login, sessions, forms
        self._clock = clock

    def signed_in(self, request: Request) -> Person | None:
        """Return the person who has logged in with this browser, or None. Raises Unavailable."""
        value = self.forms.cookies.read(request, _COOKIE)
        session = None if value is None else self.sessions.find(value, self._now())
        if value is None or session is None:
            return None
        return Person(
            session.subject, session.name, public_name(value), session.authenticated_at, session.began_at
        )

    def sign_in(
        self,
        request: Request,
        then: str,
        *,
        prompts: tuple[str, ...] = (),
        max_age: int | None = None,
        visit: Visit | None = None,
    ) -> Response:
        """Return the redirect to the provider; the browser comes back to `then`, a path of ours.

        `visit` is that of the browser, if it is known already: a new one has another secret each time.
        """
        visit = visit or self.forms.visit(request)
        url = self.login.begin(visit.name, then, prompts, max_age, self._now())
        return visit.keep(see_other(url))

    def come_back(self, request: Request) -> Response:
        """Return the redirect to the page that the login was for, with a cookie of a new session.

        An earlier session of the browser ends. Raises as `Login.end` does, and Unavailable if the login
        cannot be written to the audit log: there is no session then.
        """
        now = self._now()
        person, then = self.login.end(request, self.forms.visit(request).name, now)
        write_done("login.succeeded", subject=person.subject)
        self._end_session(request, now)
        value = self.sessions.begin(person, now)
        response = see_other(self.forms.issuer + then)
        self.forms.cookies.set(response, _COOKIE, value, max_age=self.sessions.lifetime)
        return response

    def sign_out(self, request: Request, response: Response) -> Response:
        """End the session of this browser, in every copy of its cookie; return the response."""
        self._end_session(request, self._now())
        self.forms.cookies.drop(response, _COOKIE)
        return response

    def _end_session(self, request: Request, now: EpochSeconds) -> None:
        value = self.forms.cookies.read(request, _COOKIE)
        if value is not None:
            self.sessions.end(value, now)

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self._clock()))
