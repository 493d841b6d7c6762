"""People who sign in by naming themselves in a cookie, as an embedding application could let them."""

from dataclasses import dataclass

from flask import Request, Response

SIGN_IN = "/signed-in-elsewhere?then="
COOKIE = "person"


@dataclass(frozen=True)
class Person:
    """A person; the session is named after its cookie."""

    subject: str
    name: str
    session: str


class PeopleByCookie:
    """Signs in whom the cookie names, by subject and session: `ada.1`."""

    def signed_in(self, request: Request, /) -> Person | None:
        """Return the person whom the cookie names."""
        subject, _, session = request.cookies.get(COOKIE, "").partition(".")
        return Person(f"user:{subject}", subject.title(), session) if subject else None

    def sign_in(self, _request: Request, then: str, /) -> Response:
        """Return a redirect to somewhere else."""
        response = Response(status=303)
        response.headers["Location"] = SIGN_IN + then
        return response
