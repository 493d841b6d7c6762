"""People as the pages see them: the person at the browser, and the way to sign in."""

from typing import Protocol

from flask import Request, Response


class PersonAtHand(Protocol):
    """The person who has signed in with the browser at hand."""

    @property
    def subject(self) -> str:
        """The subject of the tokens that the person grants."""

    @property
    def name(self) -> str:
        """The name to show to the person."""

    @property
    def session(self) -> str:
        """The name of the session, which does not give its cookie away."""


class PeopleAtHand(Protocol):
    """The way in which people sign in."""

    def signed_in(self, request: Request, /) -> PersonAtHand | None:
        """Return the person who has signed in with this browser, or None. Raises Unavailable."""

    def sign_in(self, request: Request, then: str, /) -> Response:
        """Return the response that lets the person sign in; the browser then comes to this path of ours."""
