"""Tokens by client credentials (RFC 6749 4.4), each kept until it has to be renewed."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.https import AnswerTooLong, HttpsRequest
from macaroon_cbat.client.oauth_answers import read_answer
from macaroon_cbat.client.service import Service
from macaroon_cbat.client.shared_failures import SharedFailure
from macaroon_cbat.errors import MalformedMacaroon, Refused
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon

_ANSWER_BYTES = 64 * 1024


class _Granted(Struct):
    """A successful answer (RFC 6749 5.1). `expires_in`, in seconds, is not optional here."""

    access_token: str
    token_type: Annotated[str, Meta(pattern="^(?i:bearer|dpop)\\Z")]
    expires_in: Annotated[int, Meta(gt=0)]


@dataclass(frozen=True, slots=True)
class GrantedToken:
    """A token, and when it was granted: between two moments, in seconds since the epoch by this clock."""

    text: str = field(repr=False)
    bound_to: frozenset[Thumbprint]
    asked_at: float
    answered_at: float
    renew_at: float
    """Seconds on the clock `monotonic`."""


class GrantedTokens:
    """One token of one service at a time, fetched when it is needed. Thread-safe, and safe to fork."""

    def __init__(
        self,
        service: Service,
        certificate: ClientCertificate | None,
        *,
        scope: str | None,
        resource: str | tuple[str, ...] | None,
        details: str | None = None,
        leeway: float,
        key: ProofKey | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch with this scope, audience and details, which are JSON.

        A token is renewed `leeway` seconds before its expiry, half of its lifetime at most.
        """
        wanted = {"scope": scope, "resource": resource, "authorization_details": details}
        self._service = service
        self._certificate = certificate
        self._key = key
        self._nonce: str | None = None
        self._wanted = {name: value for name, value in wanted.items() if value is not None}
        self._leeway = leeway
        self._monotonic = monotonic
        self._kept: GrantedToken | None = None
        self._lock, self._failure = ProcessLock(), SharedFailure()

    def current(self) -> GrantedToken:
        """Return a good token; of calls at the same time, one fetches. Raises Refused or Unavailable."""
        kept = self._good()
        if kept is None:
            waiting_since = time.monotonic()
            with self._lock.current():
                kept = self._good()
                if kept is None:
                    with self._failure.of(waiting_since):
                        kept = self._kept = self._fetch()
        return kept

    def discard(self, text: str) -> None:
        """Forget this token, which was rejected, unless another one took its place."""
        with self._lock.current():
            if self._kept is not None and self._kept.text == text:
                self._kept = None

    def forget(self) -> None:
        """Fetch a new token at the next call."""
        with self._lock.current():
            self._kept = None

    def _good(self) -> GrantedToken | None:
        kept = self._kept
        if kept is None or self._monotonic() >= kept.renew_at:
            return None
        if kept.bound_to and self._certificate is not None:
            # Some clients get tokens that are bound already (RFC 8705 3): a new certificate needs a new one.
            return kept if kept.bound_to == {self._certificate.current().thumbprint} else None
        return kept

    def _fetch(self) -> GrantedToken:
        try:
            return self._request()
        except Refused as refusal:
            # The operator may have replaced the secret in its file a moment ago.
            if refusal.code != "invalid_client" or not self._service.authentication.is_secret_replaced():
                raise
        return self._request()

    def _request(self) -> GrantedToken:
        try:
            return self._request_proved()
        except Refused as refusal:
            if self._key is None or refusal.code != "use_dpop_nonce" or self._nonce is None:
                raise
        return self._request_proved()

    def _request_proved(self) -> GrantedToken:
        started, asked_at = self._monotonic(), time.time()
        authentication, url = self._service.authentication, self._service.endpoint("token_endpoint")
        request = HttpsRequest(
            method="POST",
            url=url,
            timeout=self._service.timeout,
            limit=_ANSWER_BYTES,
            form={"grant_type": "client_credentials", **authentication.form(), **self._wanted},
            authorization=authentication.authorization(),
            further={} if self._key is None else {"DPoP": self._key.proof("POST", url, nonce=self._nonce)},
        )
        try:
            answer = self._service.exchange(request)
        except AnswerTooLong as error:
            raise Refused(error.answered, None, str(error)) from error
        self._nonce = answer.nonce or self._nonce
        granted = read_answer(answer.status, answer.body, _Granted, url)
        if granted.token_type.lower() == "dpop" and self._key is None:
            raise Refused(
                200, None, "the service granted a token for a DPoP key: give the TokenClient its key"
            )
        text, lifetime = mended(granted.access_token), granted.expires_in
        try:
            bound_to = confirmations(read_macaroon(text))
        except MalformedMacaroon as error:
            raise Refused(200, None, f"the service granted no macaroon: {error}") from error
        renew_at = started + max(lifetime - self._leeway, lifetime / 2)
        return GrantedToken(text, bound_to, asked_at, time.time(), renew_at)
