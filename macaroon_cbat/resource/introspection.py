"""Verify by asking the service (RFC 7662): it judges key, signature and revocation, we judge the caveats.

The certificate is always compared here, against the connection at hand.
"""

from pathlib import Path

import msgspec
import requests
from msgspec import Struct

from macaroon_cbat.caveats import Access
from macaroon_cbat.errors import InvalidToken, SettingsError, Unavailable
from macaroon_cbat.identifier import read_identifier
from macaroon_cbat.signature import AuthenticCaveats
from macaroon_cbat.verification import Principal, judge
from macaroon_cbat.wire import ThirdPartyCaveat, read_macaroon

TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024


class _Answer(Struct, frozen=True):
    active: bool
    jti: str | None = None


class Introspection:
    """Asks the service about every token; `Unavailable` when it cannot be asked.

    Register the resource server as understanding caveats: for others the service calls a macaroon
    with caveats about the request inactive.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        client_id: str,
        client_secret: str | None = None,
        *,
        certificate: tuple[Path, Path] | None = None,
        ca: Path | None = None,
        path: str = "/oauth2/introspect",
    ) -> None:
        """Ask `issuer` as this client, by secret or by certificate (certificate file, key file).

        `ca` is the PEM bundle that the service's own certificate is verified with.
        """
        if not issuer.startswith("https://"):
            raise SettingsError(f"the issuer must be an https URL, not {issuer!r}")
        if (client_secret is None) == (certificate is None):
            raise SettingsError("introspection needs a client secret or a client certificate")
        self.issuer = issuer
        self.audience = audience
        self._url = issuer + path
        self._form = {"client_id": client_id}
        if client_secret is not None:
            self._form["client_secret"] = client_secret
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = True if ca is None else str(ca)
        if certificate is not None:
            self._session.cert = (str(certificate[0]), str(certificate[1]))

    def __repr__(self) -> str:
        """Show where it asks, not as whom."""
        return f"<Introspection at {self._url}>"

    def verify(self, text: str, access: Access, *, require_certificate: bool) -> Principal:
        """Return who presents the token, or raise InvalidToken, or Unavailable when nobody can tell."""
        macaroon = read_macaroon(text)
        grant = read_identifier(macaroon.identifier)
        answer = self._ask(text)
        if not answer.active or answer.jti != grant.jti:
            raise InvalidToken("the service says that the token is not active")
        texts = [caveat for caveat in macaroon.caveats if not isinstance(caveat, ThirdPartyCaveat)]
        if len(texts) != len(macaroon.caveats):
            raise InvalidToken("a third-party caveat without a discharge of its own")
        # The service has verified the chain over this very text, so the caveats in it are authentic.
        authentic = AuthenticCaveats(tuple(texts))
        return judge(grant, authentic, access, require_certificate=require_certificate)

    def _ask(self, text: str) -> _Answer:
        try:
            with self._session.post(
                self._url,
                data={**self._form, "token": text},
                timeout=TIMEOUT_SECONDS,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(MAX_ANSWER_BYTES, decode_content=True)
                if response.status_code != 200:
                    raise Unavailable(f"{self._url} answered {response.status_code}: {body[:200]!r}")
            return msgspec.json.decode(body, type=_Answer)
        except (requests.RequestException, OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(f"{self._url} gave no usable answer: {error}") from error
