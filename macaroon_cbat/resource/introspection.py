"""Verify by asking the service (RFC 7662): it judges key, signature and revocation, we judge the caveats.

The certificate is always compared here, against the connection at hand.
"""

import ssl
from pathlib import Path

import msgspec
import requests
from msgspec import Struct
from urllib3.exceptions import HTTPError

from macaroon_cbat.caveats import Access
from macaroon_cbat.errors import InvalidToken, SettingsError, Unavailable
from macaroon_cbat.identifier import read_identifier
from macaroon_cbat.signature import AuthenticCaveats
from macaroon_cbat.verification import Principal, judge
from macaroon_cbat.wire import ThirdPartyCaveat, read_macaroon

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
        timeout: float = 5,
    ) -> None:
        """Ask `issuer` as this client, by secret or by certificate (certificate file, key file).

        `ca` is the PEM bundle that the service's own certificate is verified with; `timeout` counts the
        seconds to wait for a connection, and for each part of an answer.
        """
        if not issuer.startswith("https://"):
            raise SettingsError(f"the issuer must be an https URL, not {issuer!r}")
        if (client_secret is None) == (certificate is None):
            raise SettingsError("introspection needs a client secret or a client certificate")
        _check_files(ca, certificate)
        self.issuer = issuer
        self.audience = audience
        self._url = issuer + path
        self._form = {"client_id": client_id}
        if client_secret is not None:
            self._form["client_secret"] = client_secret
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        self._timeout = timeout
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
        if not answer.active:
            raise InvalidToken("the service says that the token is not active")
        if answer.jti != grant.jti:
            raise Unavailable(f"{self._url} answered about another token than {grant.jti!r}")
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
                timeout=self._timeout,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = response.raw.read(MAX_ANSWER_BYTES + 1)
            if response.status_code != 200 or len(body) > MAX_ANSWER_BYTES:
                shown = f"{len(body)} bytes: {body[:200]!r}"
                raise Unavailable(f"{self._url} answered {response.status_code} with {shown}")
            return msgspec.json.decode(body, type=_Answer)
        except (
            requests.RequestException,
            HTTPError,  # raised while the body is read, where requests does not translate
            OSError,
            msgspec.MsgspecError,
            UnicodeDecodeError,
        ) as error:
            raise Unavailable(f"{self._url} gave no usable answer: {error}") from error


def _check_files(ca: Path | None, certificate: tuple[Path, Path] | None) -> None:
    """Raise SettingsError at start-up for what could only fail at the first request."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(*certificate, password="")
    except OSError as error:
        named = " and ".join(str(file) for file in (ca, *(certificate or ())) if file is not None)
        raise SettingsError(
            f"introspection cannot load {named} ({error.strerror or error}): name PEM files"
        ) from error
