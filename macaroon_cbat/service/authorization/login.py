"""The login of a person at the upstream provider: an authorization code with PKCE, state and nonce.

`state` is bound to the browser that began the login. So an attacker can neither put a code of his into the
browser of another person (CSRF on login) nor use one that he has stolen.
"""

import hashlib
import os
from typing import Final
from urllib.parse import urlencode

import msgspec
from flask import Request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.errors.people import LoginRefused
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.authorization.id_token import (
    Expected,
    LoggedIn,
    judge_claims,
    person_of,
)
from macaroon_cbat.service.authorization.provider import Provider
from macaroon_cbat.service.authorization.upstream import Upstream
from macaroon_cbat.service.federation.jwt import Jwt, read_jwt
from macaroon_cbat.service.federation.refusals import NoSuchKey, UnacceptableJwt
from macaroon_cbat.service.http.request_input import pairs_of
from macaroon_cbat.service.upstream_settings import UpstreamSettings
from macaroon_cbat.stores import ExpiringStore
from macaroon_cbat.stores.trust import ALGORITHMS
from macaroon_cbat.text.base64url import encode

CALLBACK_PATH = "/oauth2/callback"
LOGIN_SECONDS = 600
"""Seconds that a person may take to log in."""

_KIND: Final = "login"
_READ = ("state", "code", "iss", "error", "error_description")


class BegunLogin(Struct, frozen=True):
    """A login on its way: the browser, what proves the answer, and the page of ours to go on to."""

    browser: str
    nonce: str
    verifier: str
    then: str
    max_age: int | None
    not_before: EpochSeconds | None = None
    """The second from which on the person must have logged in; None if an earlier login will do."""


class Login:
    """Logins at one upstream provider."""

    def __init__(
        self, upstream: Upstream, settings: UpstreamSettings, expiring: ExpiringStore, issuer: str
    ) -> None:
        """Send people there, and back to this issuer."""
        self.settings = settings
        self.upstream, self._expiring = upstream, expiring
        self._callback = issuer + CALLBACK_PATH

    def begin(
        self, browser: str, then: str, prompts: tuple[str, ...], max_age: int | None, now: EpochSeconds
    ) -> str:
        """Return the URL at which the person of this browser logs in.

        `then` is a path of ours, kept here and never sent, so no link can make it lead elsewhere. Raises
        LoginUnavailable if the provider cannot be read.
        """
        provider = self.upstream.provider()
        state, nonce, verifier = (encode(os.urandom(32)) for _ in range(3))
        begun = BegunLogin(browser, nonce, verifier, then, max_age, now if "login" in prompts else None)
        ends_at = now + LOGIN_SECONDS
        self._expiring.add(_KIND, state, msgspec.json.encode(begun), expires_at=ends_at, now=now)
        asked = {
            "response_type": "code",
            "client_id": self.upstream.client_id,
            "redirect_uri": self._callback,
            "scope": self.settings.upstream_scopes,
            "state": state,
            "nonce": nonce,
            "code_challenge": encode(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if passed_on := " ".join(one for one in prompts if one in ("login", "select_account")):
            asked["prompt"] = passed_on
        if "login" in prompts:  # a provider has to tell the time of the login for max_age alone
            asked["max_age"] = "0"
        elif max_age is not None:
            asked["max_age"] = str(max_age)
        place = provider.authorization_endpoint
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def end(self, request: Request, browser: str, now: EpochSeconds) -> tuple[LoggedIn, str]:
        """Return the person that an answer of the provider names, and the path of ours to go on to.

        Each login ends once. Raises InvalidRequest for an answer that belongs to no login of this browser,
        LoginRefused for one that proves no person who may log in, and LoginUnavailable.
        """
        answer = _read_answer(request)
        begun = self._taken(answer.get("state", ""), browser, now)
        provider = self.upstream.provider()
        self._refuse_other_issuer(answer.get("iss"), provider)
        if "error" in answer:
            told = answer.get("error_description", "")
            raise LoginRefused(f"the provider answered {answer['error'][:60]}: {told[:100]}")
        if "code" not in answer:
            raise LoginRefused("the provider answered without a code")
        text = self.upstream.id_token(provider, answer["code"], begun.verifier, self._callback)
        claims = self._verified(text, provider).claims
        judge_claims(claims, self._expected(begun), now)
        person = person_of(claims, self.settings.upstream_subject, self.settings.allowed, now)
        return person, begun.then

    def _expected(self, begun: BegunLogin) -> Expected:
        issuer, client_id = self.upstream.issuer, self.upstream.client_id
        return Expected(issuer, client_id, begun.nonce, begun.max_age, begun.not_before)

    def _taken(self, state: str, browser: str, now: EpochSeconds) -> BegunLogin:
        content = self._expiring.find(_KIND, state, now)
        begun = None if content is None else msgspec.json.decode(content, type=BegunLogin)
        if begun is None or begun.browser != browser or self._expiring.take(_KIND, state, now) is None:
            raise InvalidRequest(
                "this login was begun in another browser, ended already, or took too long: begin again"
            )
        return begun

    def _refuse_other_issuer(self, named: str | None, provider: Provider) -> None:
        """Raise LoginRefused if the answer is of another provider (RFC 9207 2.4)."""
        if named is None and provider.names_itself:
            raise LoginRefused("the answer lacks iss, which this provider always sends")
        if named is not None and named != self.upstream.issuer:
            raise LoginRefused(f"the answer is of another provider, {named[:100]!r}")

    def _verified(self, text: str, provider: Provider) -> Jwt:
        """Return the ID token, once its signature holds under a key of the provider."""
        try:
            token = read_jwt(text)
            if token.kind not in (None, "jwt"):
                raise LoginRefused(f"the token is of the kind {token.kind[:40]!r}, and no ID token")
            try:
                provider.keys.verify(token, ALGORITHMS)
            except NoSuchKey:  # the provider may have rotated its keys
                self.upstream.provider(is_renewed=True).keys.verify(token, ALGORITHMS)
        except UnacceptableJwt as error:
            raise LoginRefused(f"the ID token is unusable: {error}") from error
        return token


def _read_answer(request: Request) -> dict[str, str]:
    """Return the parameters of the provider's answer, or raise InvalidRequest for a repeated one."""
    answer: dict[str, str] = {}
    for name, value in pairs_of(request.query_string, "the query"):
        if name in answer:
            raise InvalidRequest(f"the parameter {name} is repeated: begin the login again")
        if name in _READ and value:
            answer[name] = value
    return answer
