"""Cookies of the pages: Secure, HttpOnly, of this host alone (`__Host-`, RFC 6265bis 4.1.3.2)."""

import re
from dataclasses import dataclass
from hashlib import sha256

from flask import Request, Response

_VALUE = re.compile(r"[A-Za-z0-9._~-]{1,512}\Z")


@dataclass(frozen=True, slots=True)
class Cookies:
    """The cookies of one issuer. Another issuer on the same host, below another path, has other names."""

    issuer: str

    def name(self, short: str) -> str:
        """Return the whole name of a cookie."""
        return f"__Host-macaroon-cbat-{sha256(self.issuer.encode()).hexdigest()[:8]}-{short}"

    def set(self, response: Response, short: str, value: str, *, max_age: int | None = None) -> None:
        """Set a cookie for `max_age` seconds, or until the browser is closed.

        SameSite is Lax: a person comes back from an upstream provider by a link of another site.
        """
        response.set_cookie(
            self.name(short),
            value,
            max_age=max_age,
            path="/",
            secure=True,
            httponly=True,
            samesite="Lax",
        )

    def read(self, request: Request, short: str) -> str | None:
        """Return the value of a cookie; None if it is missing, of another alphabet, or sent twice."""
        values = request.cookies.getlist(self.name(short))
        return values[0] if len(values) == 1 and _VALUE.match(values[0]) else None

    def drop(self, response: Response, short: str) -> None:
        """Have the browser forget a cookie."""
        response.delete_cookie(self.name(short), path="/", secure=True, httponly=True, samesite="Lax")
