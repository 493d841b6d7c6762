"""Forms of the pages: each that arrives was shown by this service to the same browser, for the same matter.

A token in a hidden field proves it, keyed by a random cookie. `Origin` and `Sec-Fetch-Site`, which no page of
another site can write, prove it a second time.
"""

import hmac
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from flask import Request, Response

from macaroon_cbat.errors.pages import ForgedForm
from macaroon_cbat.macaroon.issuers import issuer_origin
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.service.http.request_input import read_form
from macaroon_cbat.service.pages.cookies import Cookies
from macaroon_cbat.text.base64url import NotBase64url, decode, encode

FIELD = "csrf"
_COOKIE = "browser"
_SECRET_BYTES, _NONCE_BYTES = 32, 16

BoundTo = str | Callable[[dict[str, str]], str]
"""The matter of a form, such as the id of a request: the text itself, or found in the fields."""


@dataclass(frozen=True, slots=True, repr=False)
class Visit:
    """One browser's visit: its random secret, in a cookie until the browser is closed."""

    secret: str
    is_new: bool
    cookies: Cookies

    @property
    def name(self) -> str:
        """The name of the browser, which tells nothing of its secret: a request of it may be stored so."""
        return sha256(self.secret.encode()).hexdigest()

    def token(self, purpose: str, bound_to: str = "") -> str:
        """Return a token for a form of this purpose about this matter; each is spelled differently.

        So compression tells an attacker nothing of it (BREACH).
        """
        nonce = os.urandom(_NONCE_BYTES)
        return encode(nonce + self._proof(nonce, purpose, bound_to))

    def has_made(self, token: str, purpose: str, bound_to: str) -> bool:
        """Return True if the token is one of this browser, purpose and matter."""
        try:
            given = decode(token)
        except NotBase64url:
            return False
        nonce, proof = given[:_NONCE_BYTES], given[_NONCE_BYTES:]
        return hmac.compare_digest(proof, self._proof(nonce, purpose, bound_to))

    def keep(self, response: Response) -> Response:
        """Give the browser its cookie if it has none; return the response."""
        if self.is_new:
            self.cookies.set(response, _COOKIE, self.secret)
        return response

    def _proof(self, nonce: bytes, purpose: str, bound_to: str) -> bytes:
        text = msgspec.json.encode([purpose, bound_to])
        return hmac.digest(self.secret.encode(), nonce + text, "sha256")


@dataclass(frozen=True, slots=True)
class Forms:
    """The forms of one issuer."""

    issuer: str

    @property
    def cookies(self) -> Cookies:
        """The cookies of the same issuer."""
        return Cookies(self.issuer)

    def visit(self, request: Request) -> Visit:
        """Return the visit of the browser at hand, a new one if it sends no cookie."""
        known = self.cookies.read(request, _COOKIE)
        if known is not None and len(known) == len(encode(bytes(_SECRET_BYTES))):
            return Visit(known, is_new=False, cookies=self.cookies)
        return Visit(encode(os.urandom(_SECRET_BYTES)), is_new=True, cookies=self.cookies)

    def posted(
        self, request: Request, purpose: str, bound_to: BoundTo = "", names: Iterable[str] = ()
    ) -> dict[str, str]:
        """Return the fields of a form that this browser was shown for this purpose and matter.

        It has fields of these names. Raises ForgedForm for any other, and InvalidRequest for what is no form.
        A program knows its own cookie, and can make a token for any form.
        """
        self._require_own_origin(request)
        fields = dict(read_form(request).once)
        if missing := [name for name in names if name not in fields]:
            raise ForgedForm(f"the form {purpose!r} has no field {missing[0]}")
        token = fields.pop(FIELD, "")
        matter = bound_to if isinstance(bound_to, str) else bound_to(fields)
        if not self.visit(request).has_made(token, purpose, matter):
            raise ForgedForm(f"the form {purpose!r} has no token of this browser and matter")
        return fields

    def _require_own_origin(self, request: Request) -> None:
        """Raise ForgedForm unless the browser says that a page of this issuer sent the form."""
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "same-origin")
        if origin is None:
            raise ForgedForm("the form came without Origin, which every browser sends with one")
        if origin != parse_target(issuer_origin(self.issuer)).origin:
            raise ForgedForm(f"the form came from the origin {origin[:100]!r}")
        if site != "same-origin":
            raise ForgedForm(f"the form came with Sec-Fetch-Site {site[:20]!r}")


def is_led_by_another_site(request: Request) -> bool:
    """Return True if the browser says that a page of another site, or a redirect of one, led it here."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
