"""The credentials of a client as a request presents them: a secret, a certificate or a JWT, unverified."""

from base64 import b64decode
from collections.abc import Callable
from urllib.parse import unquote_plus

from msgspec import Struct

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import InvalidClient, InvalidRequest

_TWO = "the request has two client authentications: send one"

Intermediates = Callable[[], tuple[DerCertificate, ...]]
"""Returns the certificates that came beside the client's own; they are read only to build a path."""


class PresentedCredentials(Struct, frozen=True):
    """The credentials of a client in one request: `secret` from header or form, and its certificate."""

    client_id: str
    secret: str | None
    presented: PresentedCertificate
    intermediates: Intermediates = tuple

    def __repr__(self) -> str:
        """Show the claimed client, never the secret."""
        return f"<PresentedCredentials of {self.client_id!r}>"


class PresentedAssertion(Struct, frozen=True):
    """A JWT by which a client authenticates (RFC 7521 4.2), unread; `client_id` is optional beside it."""

    kind: str
    text: str
    client_id: str | None

    def __repr__(self) -> str:
        """Show the claimed client, never the JWT."""
        return f"<PresentedAssertion of {self.client_id!r}>"


def presented_assertion(authorization: str | None, form: dict[str, str]) -> PresentedAssertion | None:
    """Return the client assertion of a request, or None.

    Raises InvalidRequest if half of it is missing, or if the request has another authentication as well.
    """
    given = [name for name in ("client_assertion", "client_assertion_type") if name in form]
    if not given:
        return None
    if len(given) == 1:
        raise InvalidRequest("client_assertion and client_assertion_type go together: send both")
    if authorization is not None or "client_secret" in form:
        raise InvalidRequest(_TWO)
    return PresentedAssertion(form["client_assertion_type"], form["client_assertion"], form.get("client_id"))


def presented_credentials(
    authorization: str | None,
    form: dict[str, str],
    presented: PresentedCertificate,
    intermediates: Intermediates = tuple,
) -> PresentedCredentials:
    """Return the credentials of a request.

    Raises InvalidRequest if it uses two methods at once, and InvalidClient if it names no client.
    """
    if authorization is None:
        if "client_id" not in form:
            raise InvalidClient("no client_id")
        return PresentedCredentials(form["client_id"], form.get("client_secret"), presented, intermediates)
    client_id, secret = _basic(authorization)
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise InvalidRequest(_TWO)
    return PresentedCredentials(client_id, secret, presented, intermediates)


def _basic(authorization: str) -> tuple[str, str]:
    """Return id and secret of HTTP Basic, each form-urlencoded inside (RFC 6749 2.3.1)."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise InvalidClient("the Authorization scheme is not Basic")
    try:
        client_id, colon, secret = b64decode(value.strip(), validate=True).decode().partition(":")
        client_id, secret = unquote_plus(client_id, errors="strict"), unquote_plus(secret, errors="strict")
    except ValueError as error:  # not base64, ASCII or UTF-8
        raise InvalidClient("malformed Basic credentials") from error
    if not colon or not client_id:
        raise InvalidClient("Basic credentials without a client or a secret")
    return client_id, secret
