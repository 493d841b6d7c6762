"""The resource server as a client of the service, for its keys and the revocation feed.

The stored token is unbound; each request carries a child that is bound to the certificate of this very
connection, lives for a minute, for a stream as long as that may go on, and has the one scope that is needed.
"""

import math
import time
from collections.abc import Generator
from pathlib import Path
from typing import Literal

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.certificate import ClientCertificate, client_certificate
from macaroon_cbat.client.clock import seconds_ahead
from macaroon_cbat.client.granted_tokens import GrantedToken, GrantedTokens
from macaroon_cbat.client.https import HttpsAnswer, HttpsRequest
from macaroon_cbat.client.oauth_answers import read_refusal
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.service import Endpoint, Service
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import Refused, Unavailable
from macaroon_cbat.macaroon.caveats import Expiry, Scope, confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.resource.clock_skew import checked_skew
from macaroon_cbat.text.printable import printable

CHILD_SECONDS = 60
STREAM_SECONDS = 360
"""The life of a child for a stream, which the service ends after 300 seconds at most."""

LONGEST_SILENCE = 10
"""The seconds after which a stream has another line at the latest."""

MAX_ANSWER_BYTES = 8 << 20
_LONGEST_PAGE_SECONDS = 30.0

_Scope = Literal["keys", "revocations"]


class ServiceConnection:
    """The connection of one registered resource server to the service. Thread-safe, and safe to fork.

    It authenticates with `client_secret`, the secret or as a Path the file that holds it, otherwise with its
    certificate (RFC 8705 2). `certificate` is a PEM file, leaf first, with the private key in `key` or in the
    same file, or a ClientCertificate. `ca` is the PEM file that the service's own certificate is verified
    with. All these files are followed when they are replaced. An exchange takes `timeout` seconds at most; a
    page of the revocation feed may take 30 more to arrive. If the service's clock and this one differ by more
    than `clock_skew` seconds, every call raises Unavailable that says by how much.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | Path | None = None,
        *,
        certificate: ClientCertificate | Path | str,
        key: Path | str | None = None,
        ca: Path | str | None = None,
        timeout: float = 5,
        clock_skew: int = 30,
    ) -> None:
        """Check the files; no request is sent yet. Raises SettingsError that says what is wrong."""
        self._clock_skew = checked_skew(clock_skew)
        pair = client_certificate(certificate, key)
        own = OwnConnections(pair, ServerTrust(ca))
        authentication = ClientAuthentication(client_id, client_secret)
        self.service = Service(issuer, authentication, own, timeout, compares_clocks=False)
        self.issuer, self.timeout = self.service.issuer, timeout
        self._tokens = GrantedTokens(
            self.service, pair, scope=None, resource=self.issuer, leeway=math.inf
        )  # fetched anew after half its lifetime
        self._measured: tuple[GrantedToken, float] | None = None

    def __repr__(self) -> str:
        """Show the client and the issuer."""
        return f"<ServiceConnection of {self.service.authentication.client_id} to {self.issuer}>"

    def keys(self, audience: str) -> bytes:
        """Return the body of the keys endpoint for this audience, or raise Refused or Unavailable."""
        return self._get("keys", {"audience": audience}).body

    def revocations(self, after: str, wait: int) -> bytes:
        """Return the body of the revocation feed after this cursor, or raise Refused or Unavailable.

        The service waits up to `wait` seconds for a revocation when there is none yet.
        """
        return self._get("revocations", {"after": after, "wait": str(wait)}, wait).body

    def stream(self, after: str, wait: int) -> Generator[bytes, None, None]:
        """Yield pages of the revocation feed after this cursor as they come, or raise Refused or Unavailable.

        The first comes at once, and then one at least every `wait` seconds or LONGEST_SILENCE. A service
        that knows no streams gives one page in time, or none.
        """
        longest = min(wait, LONGEST_SILENCE) + self.timeout
        answer = self._get("revocations", {"after": after, "wait": str(wait)}, line_seconds=longest)
        if answer.lines is None:
            yield answer.body
        else:
            yield from answer.lines

    def _get(self, scope: _Scope, query: dict[str, str], wait: int = 0, **more: float) -> HttpsAnswer:
        try:
            return self._get_once(scope, query, wait, **more)
        except Refused as refusal:
            if refusal.status != 401:
                raise
        # The certificate was being replaced, or the token revoked: a new token is obtained, once.
        self._tokens.forget()
        self.service.forget_endpoints()
        return self._get_once(scope, query, wait, **more)

    def _get_once(
        self, scope: _Scope, query: dict[str, str], wait: int, line_seconds: float | None = None
    ) -> HttpsAnswer:
        token, service_time = self._token_and_time()
        own = self.service.own()
        assert own.credentials is not None
        expiry = Expiry(
            EpochSeconds(service_time + (CHILD_SECONDS if line_seconds is None else STREAM_SECONDS))
        )
        caveats = confirmation(own.credentials.thumbprint), expiry, Scope(scope)
        name: Endpoint = "audience_keys_endpoint" if scope == "keys" else "revocation_feed_endpoint"
        request = HttpsRequest(
            method="GET",
            url=self.service.endpoint(name),
            timeout=self.timeout + wait,
            longest=self.timeout + wait + (_LONGEST_PAGE_SECONDS if scope == "revocations" else 0),
            limit=MAX_ANSWER_BYTES,
            query=query,
            authorization=f"Bearer {attenuate(token, caveats)}",
            line_seconds=line_seconds,
        )
        answer = self.service.exchange(request, own)
        if answer.status != 200:
            raise read_refusal(answer.status, answer.body, request.url)
        if answer.age not in (None, "0"):  # the present is asked for, and only the service knows it
            if answer.lines is not None:
                answer.lines.close()
            raise Unavailable(
                f"the answer of {request.url} is {printable(str(answer.age))} s old: let no cache before the "
                "service keep it"
            )
        return answer

    def _token_and_time(self) -> tuple[str, EpochSeconds]:
        """Return a token of the service for itself, and the present by the service's clock."""
        token = self._tokens.current()
        measured = self._measured
        if measured is None or measured[0] is not token:
            measured = self._measured = token, self._seconds_ahead(token)
        return token.text, EpochSeconds(int(time.time() + measured[1]))

    def _seconds_ahead(self, token: GrantedToken) -> float:
        try:
            return seconds_ahead(
                token.text, token.asked_at, token.answered_at, issuer=self.issuer, skew=self._clock_skew
            )
        except (Refused, Unavailable):
            self._tokens.discard(token.text)  # once the clocks are set, a new one shows it
            raise
