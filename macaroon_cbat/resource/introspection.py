"""Verification by introspection (RFC 7662): the service judges key, signature and revocation.

The resource server judges the caveats, and compares the certificate with that of the connection at hand.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.certificate import ClientCertificate, client_certificate
from macaroon_cbat.client.https import HttpsRequest
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import Inactive, SettingsError, Unavailable
from macaroon_cbat.files.clock import since_boot
from macaroon_cbat.macaroon.audiences import audience_setting
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.credential_headers import DISCHARGE
from macaroon_cbat.macaroon.custom import NO_JUDGES, Judge
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.macaroon.signature import AuthenticCaveats, unverified_texts
from macaroon_cbat.macaroon.verification import Principal, judge
from macaroon_cbat.macaroon.wire import read_discharges, read_macaroon
from macaroon_cbat.resource.blocking import about_to_block
from macaroon_cbat.resource.call_limits import Places
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

MAX_ANSWER_BYTES = 64 * 1024
MAX_REMEMBERED = 10_000


class _Answer(Struct, frozen=True):
    active: bool
    jti: str | None = None


class Introspection:
    """A verifier that introspects every token.

    Register the resource server with `--understands-caveats`: for others the service calls a macaroon with
    caveats about the request inactive.
    """

    announces_blocking = True

    def __init__(  # noqa: PLR0913 # one keyword a setting
        self,
        issuer: str,
        audience: str,
        client_id: str,
        client_secret: str | Path | None = None,
        *,
        certificate: ClientCertificate | Path | str | None = None,
        key: Path | str | None = None,
        ca: Path | str | None = None,
        path: str = "/oauth2/introspect",
        timeout: float = 5,
        cache_seconds: float = 0,
        most_asking: int = 4,
    ) -> None:
        """Introspect at `issuer` as this client. Raises SettingsError for unusable settings.

        The client authenticates with `client_secret`, the secret or as a Path the file that holds it, or with
        `certificate`, a PEM file with the private key in `key` or in the same file, or a ClientCertificate.
        `ca` is the PEM file that the service's own certificate is verified with. All these files are followed
        when they are replaced. An exchange takes `timeout` seconds at most. A positive answer applies for
        `cache_seconds`: so long may a revocation go unnoticed; caveats and certificate are always judged. At
        most `most_asking` requests of a process that serves with threads introspect at once: keep it below
        the number of threads, so that a silent service leaves some.
        """
        issuer = plain_issuer(issuer)
        if (client_secret is None) == (certificate is None):
            raise SettingsError(
                "introspection takes a client secret or a client certificate: give one of them"
            )
        if cache_seconds < 0:
            raise SettingsError(f"cache_seconds must not be negative, as {cache_seconds!r} is")
        if most_asking < 1:
            raise SettingsError(f"most_asking must be at least 1, not {most_asking!r}")
        self.issuer = issuer
        self.audience = audience_setting(audience)
        self._url = issuer + path
        self._authentication = ClientAuthentication(client_id, client_secret)
        self._own = OwnConnections(client_certificate(certificate, key), ServerTrust(ca))
        self._places = Places(most_asking, issuer)
        self._timeout = timeout
        self._remembered = _Remembered(cache_seconds)

    def __repr__(self) -> str:
        """Show the endpoint, and no credentials."""
        return f"<Introspection at {self._url}>"

    def close(self) -> None:
        """Close the connections of this process that are idle; every other one ends with its answer."""
        self._own.current().connections.end()

    def verify(
        self,
        text: str,
        access: Access,
        *,
        require_certificate: bool,
        custom: Mapping[str, Judge] = NO_JUDGES,
        discharges: Sequence[str] = (),
    ) -> Principal:
        """Return the principal of the token. Raises InvalidToken, or Unavailable without an answer."""
        macaroon = read_macaroon(text)
        grant = read_identifier(macaroon.identifier)
        if grant.is_refresh_token:  # the service calls one active for its own client, which may serve as well
            raise Inactive("this is a refresh token: get an access token with it")
        texts = unverified_texts(macaroon, read_discharges(discharges))
        presented = ",".join((text, *discharges))
        if not self._remembered.has(presented, access.certificate):
            started = since_boot()
            self._ask(text, grant, access, discharges)
            self._remembered.add(presented, access.certificate, started, grant.exp - access.now)
        # The service has verified the chains over these very texts, so the caveats in them are authentic.
        authentic = AuthenticCaveats(texts)
        return judge(grant, authentic, access, require_certificate=require_certificate, custom=custom)

    def _ask(self, text: str, grant: Grant, access: Access, discharges: Sequence[str]) -> None:
        """Return if the service calls the token active for this certificate, and for the key of this proof.

        Raises Inactive if it does not, and Unavailable if it gives no usable answer.
        """
        about_to_block()
        form = {**self._authentication.form(), "token": text}
        if access.certificate is not None:
            form["client_certificate"] = access.certificate
        if access.proof_key is not None:
            form["dpop_jkt"] = access.proof_key
        status, body = self._exchange(form, discharges)
        if status == 401 and self._authentication.is_secret_replaced():
            status, body = self._exchange(form, discharges)
        if status != 200:
            raise Unavailable(f"{self._url} answered {status} with {len(body)} bytes: {body[:200]!r}")
        try:
            answer = read_json_text(body, _Answer)
        except UnusableJson as error:
            raise Unavailable(f"{self._url} gave no usable answer: {error}") from error
        if not answer.active:
            raise Inactive("the service says that the token is not active, and its log says why")
        if answer.jti != grant.jti:
            raise Unavailable(f"{self._url} answered about another token than {grant.jti!r}")

    def _exchange(self, form: dict[str, str], discharges: Sequence[str]) -> tuple[int, bytes]:
        request = HttpsRequest(
            method="POST",
            url=self._url,
            timeout=self._timeout,
            limit=MAX_ANSWER_BYTES,
            form=form,
            authorization=self._authentication.authorization(),
            further={DISCHARGE: ",".join(discharges)} if discharges else {},
        )
        with self._places.place():
            answer = self._own.current().connections.exchange(request)
        return answer.status, answer.body


class _Remembered:
    """The tokens that the service called active, each with its certificate, for so many seconds.

    An older answer is never used, so none is left after the service was out of reach for that long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[tuple[bytes, Thumbprint | None], float] = {}

    def has(self, text: str, certificate: Thumbprint | None) -> bool:
        """Return True if the service's answer still applies."""
        return since_boot() < self._until.get(_name(text, certificate), 0.0)

    def add(self, text: str, certificate: Thumbprint | None, asked_at: float, lifetime: int) -> None:
        """Remember the answer, for the token's lifetime in seconds at most."""
        if self._seconds <= 0:
            return
        if len(self._until) >= MAX_REMEMBERED:
            self._until.clear()
        self._until[_name(text, certificate)] = asked_at + min(self._seconds, lifetime)


def _name(text: str, certificate: Thumbprint | None) -> tuple[bytes, Thumbprint | None]:
    """Return a name for both that is no token."""
    return hashlib.sha256(text.encode()).digest(), certificate
