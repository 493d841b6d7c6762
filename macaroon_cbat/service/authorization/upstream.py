"""The requests to the upstream OpenID Connect provider, each bounded in time, size and number.

The discovery document and the keys are read at the first login, and read anew every hour. An endpoint may
have a private address: the operator named this provider, and trusts it with every login.
"""

import threading
import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

from macaroon_cbat.client.https import Connections, HttpsRequest
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.errors.people import LoginUnavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.service.authorization.provider import Provider, discovered
from macaroon_cbat.service.upstream_settings import UpstreamSettings
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.text.json_text import UnusableJson, read_members

KEPT_SECONDS = 3600.0
"""Seconds for which a provider's document and keys are used before they are read anew."""

RETRY_SECONDS = 5.0
"""Seconds after a look in which no other is made: an outage, and a token of an unknown key, cost little."""

_CA = "MACAROON_CBAT_UPSTREAM_CA"
_WAIT, _LONGEST = 4.0, 8.0
_LARGEST = 256 * 1024
_MOST_AT_ONCE = 3
"""Threads of a process that wait for the provider at a time: the others go on to answer other requests."""
_MOST_WAITING = 2
"""Threads that wait for their turn besides."""


class Upstream:
    """One provider. Thread-safe, and safe to fork."""

    def __init__(
        self,
        settings: UpstreamSettings,
        monotonic: Callable[[], float] = time.monotonic,
        patience: float = 1.0,
        threads: WaitingThreads | None = None,
    ) -> None:
        """Ask this provider; nothing is read before the first login. Raises SettingsError.

        A thread waits `patience` seconds for its turn, if it is among the `threads` that may.
        """
        self._patience = patience
        self._threads = threads or WaitingThreads(_MOST_AT_ONCE + _MOST_WAITING)
        assert settings.upstream_issuer is not None
        assert settings.upstream_client_id is not None
        self.issuer, self.client_id = settings.upstream_issuer, settings.upstream_client_id
        self._secret = settings.secret()
        try:
            context = server_trust(settings.upstream_ca)
        except SettingsError as error:
            raise SettingsError(f"{_CA}: {error}") from error
        remedy = f"name the PEM file of its CA in {_CA}"
        self._connections = PerProcess(lambda: Connections(context, ca_remedy=remedy))
        self._monotonic = monotonic
        self._looking, self._asking = threading.Lock(), threading.Semaphore(_MOST_AT_ONCE)
        self._known: Provider | None = None
        self.looked_at = -KEPT_SECONDS

    def provider(self, *, is_renewed: bool = False) -> Provider:
        """Return the provider as it was at most KEPT_SECONDS ago, or RETRY_SECONDS ago if `is_renewed`.

        Raises LoginUnavailable.
        """
        kept = RETRY_SECONDS if is_renewed or self._known is None else KEPT_SECONDS
        if self._monotonic() - self.looked_at >= kept:
            self._look(kept)
        known = self._known
        if known is None:
            raise LoginUnavailable("the upstream provider failed a moment ago: it is not asked again so soon")
        return known

    def id_token(self, provider: Provider, code: str, verifier: str, callback: str) -> str:
        """Return the text of the ID token that a code is exchanged for, or raise LoginUnavailable."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
        form |= {"code_verifier": verifier}
        authorization = None
        if self._secret is not None and provider.takes_basic:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self._secret)}"
            authorization = "Basic " + b64encode(pair.encode()).decode()
        else:
            form |= {"client_id": self.client_id}
            form |= {} if self._secret is None else {"client_secret": self._secret}
        members = self._answered("POST", provider.token_endpoint, form, authorization)
        token = members.get("id_token")
        if not isinstance(token, str):
            raise LoginUnavailable(f"{provider.token_endpoint} answered without an ID token")
        return token

    def _look(self, kept: float) -> None:
        """Read the provider's document, unless another thread does so or has just done so.

        Meanwhile the others go on with what is known, or wait if nothing is, or it lacks their key.
        """
        if not self._threads.acquire(self._looking, 0 if kept == KEPT_SECONDS else self._patience):
            return
        try:
            if self._monotonic() - self.looked_at >= kept:
                self._read_anew()
        finally:
            self._looking.release()

    def _read_anew(self) -> None:
        """Read the document and the keys. If that fails, what was known is not used any more."""
        at, found = self._monotonic(), None
        try:
            found = discovered(self.issuer, lambda url: self._answered("GET", url))
        finally:
            self._known, self.looked_at = found, at

    def _answered(
        self, method: str, url: str, form: dict[str, str] | None = None, authorization: str | None = None
    ) -> dict[str, Any]:
        """Return the members of a JSON answer of status 200; redirects are not followed."""
        request = HttpsRequest(
            method=method,
            url=url,
            timeout=_WAIT,
            longest=_LONGEST,
            limit=_LARGEST,
            form=form,
            authorization=authorization,
            is_repeatable=form is None,
        )
        if not self._threads.acquire(self._asking, self._patience):
            raise _too_many()
        try:
            with self._threads.place() as may_wait:
                if not may_wait:
                    raise _too_many()
                answer = self._connections.current().exchange(request)
            if answer.status != 200:
                raise LoginUnavailable(f"{url} answered {answer.status}: {answer.body[:200]!r}")
            return read_members(answer.body)
        except UnusableJson as error:
            raise LoginUnavailable(f"{url} answered unusable JSON: {error}") from error
        except LoginUnavailable:
            raise
        except Unavailable as error:
            raise LoginUnavailable(str(error)) from error
        finally:
            self._asking.release()


def _too_many() -> LoginUnavailable:
    return LoginUnavailable("too many logins wait for the upstream provider")
