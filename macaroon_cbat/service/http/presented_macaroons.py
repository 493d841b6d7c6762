"""The macaroon that a request to the service carries, with its discharges; nothing is verified here."""

from flask import Request

from macaroon_cbat.errors import MissingToken
from macaroon_cbat.macaroon.credential_headers import credentials_in_environ
from macaroon_cbat.macaroon.discharge_headers import presented_macaroons


def macaroons_of(request: Request) -> tuple[str, tuple[str, ...]]:
    """Return the text of the macaroon that a request carries, and of its discharges.

    Raises MissingToken, InvalidRequest or MalformedMacaroon.
    """
    environ = request.environ
    credentials = credentials_in_environ(environ)
    _, text, discharges = presented_macaroons(environ.get("HTTP_AUTHORIZATION"), credentials)
    return text, discharges


def has_macaroon(request: Request) -> bool:
    """Return True if a request carries a macaroon, valid or not. Raises as `macaroons_of` for two."""
    try:
        macaroons_of(request)
    except MissingToken:
        return False
    return True
