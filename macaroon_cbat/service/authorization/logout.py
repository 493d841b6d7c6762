"""The sign-out of a person from this service: the session ends at once, in every copy of its cookie."""

from flask import Response, request

from macaroon_cbat.service.authorization.people import People
from macaroon_cbat.service.pages.rendering import page

LOGOUT_PATH = "/oauth2/logout"
_PURPOSE = "logout"


class Logout:
    """The page and the form of the sign-out. A link of another site cannot sign a person out."""

    def __init__(self, people: People) -> None:
        """Sign these people out."""
        self._people, self._forms = people, people.forms
        self._action = people.forms.issuer + LOGOUT_PATH

    def ask(self) -> Response:
        """Return the page that offers the sign-out."""
        visit, person = self._forms.visit(request), self._people.signed_in(request)
        name = None if person is None else person.name
        content = {"person": name, "action": self._action, "csrf": visit.token(_PURPOSE)}
        return visit.keep(page("logout.html", content))

    def carry_out(self) -> Response:
        """End the session of this browser."""
        self._forms.posted(request, _PURPOSE)
        return self._people.sign_out(request, page("logout.html", {"person": None}))
