"""A holder without a service: its certificate, its tokens, and its requests for each test client."""

import secrets
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypedDict, TypeVar, Unpack, cast

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, parse_thumbprint, thumbprint_of
from macaroon_cbat.macaroon.caveats import Access, confirmation
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds, scope_tokens
from macaroon_cbat.macaroon.custom import AnyCaveat
from macaroon_cbat.macaroon.identifier import TOKEN_ID_BYTES, Grant
from macaroon_cbat.macaroon.keys import KEY_BYTES, AudienceKey, AudienceKeys, RootKey, audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.verification import Principal, verify
from macaroon_cbat.testing.connections import Application, OverTls, asgi_extensions, shown_to, wsgi_connection
from macaroon_cbat.text.base64url import encode

LIFETIME = 600
"""Seconds that a token lives, as those of a service do by default."""

DEFAULT_SCOPE = "test"
"""Scope of a token if a test names none: no view requires it, so that no test passes by chance."""


class _HasHandler(Protocol):
    """A client of Django's that hands the scope of a request to a handler."""

    handler: Any


Client = TypeVar("Client", bound=_HasHandler)


class TokenOptions(TypedDict, total=False):
    """The options of a token, all by keyword."""

    audience: str
    """Another audience than that of the keys, an absolute URI; the guard refuses such a token."""
    caveats: Iterable[AnyCaveat]
    """Further caveats, such as PathPrefix("/files") or CustomCaveat("payment", {"most": 100})."""
    expired: bool
    """True for a token that expired before any clock skew that a guard can allow."""
    unbound: bool
    """True for a token without a `cnf` caveat."""
    bound_to: "FakeHolder | Thumbprint"
    """Another holder, or a thumbprint, that the token is bound to in place of this holder's."""


class RequestOptions(TokenOptions, total=False):
    """The options of a request: those of its token, or the token itself."""

    token: str | None
    """A token as it is, such as one that another holder has lost; None for a request without a token."""


class FakeHolder:
    """A holder whose tokens are minted with a guard's own keys, for tests of the application behind it."""

    def __init__(
        self,
        keys: AudienceKeys,
        *,
        certificate: bytes | None = None,
        with_certificate: bool = True,
        client_id: str = "test-client",
        subject: str | None = None,
        address: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Hold tokens for the audience of `keys`, which the guard has as well.

        `certificate` is PEM or DER, or any bytes: a guard only hashes them. If it is None, the holder has one
        of its own, unlike that of any other holder. `with_certificate=False` makes connections without a
        client certificate. `subject` is `client_id` by default. `address` is an IP literal, which only WSGI
        applications see. `clock` returns seconds since the epoch; give the guard the same if a test sets it.
        """
        self.client_id = client_id
        self.subject = client_id if subject is None else subject
        self.address = address
        self.certificate = _der(certificate) if with_certificate else None
        self._keys, self._clock = keys, clock

    @property
    def thumbprint(self) -> Thumbprint:
        """The thumbprint of the holder's certificate. Raises ValueError if the holder has none."""
        if self.certificate is None:
            raise ValueError("this holder has no certificate: give its token unbound=True or bound_to=HOLDER")
        return thumbprint_of(self.certificate)

    def token(
        self,
        scope: str = DEFAULT_SCOPE,
        *,
        audience: str | None = None,
        caveats: Iterable[AnyCaveat] = (),
        expired: bool = False,
        unbound: bool = False,
        bound_to: "FakeHolder | Thumbprint | None" = None,
    ) -> str:
        """Return a new token that is bound to the holder's certificate. TokenOptions has the options.

        `scope` is one or more scope tokens, a single space between two. Raises ValueError for options that
        contradict each other, and if there is no certificate to bind to.
        """
        if unbound and bound_to is not None:
            raise ValueError("a token is unbound, or bound_to a certificate, not both: leave one of them out")
        if "" in scope_tokens(scope):
            raise ValueError('scope is one or more words, a single space between two, such as "read write"')
        binding = [] if unbound else [confirmation(self._confirmed(bound_to))]
        key = self._key_for(audience)
        grant = self._grant(key, scope, expired=expired)
        return mint(key, self._keys.issuer, grant, [*binding, *caveats])

    def principal(self, scope: str = DEFAULT_SCOPE, **options: Unpack[TokenOptions]) -> Principal:
        """Return the principal that the guard finds in such a token: for FastAPI's `dependency_overrides`.

        No caveat about a method, path or address is met here. Raises InvalidToken if the guard would.
        """
        certificate = None if self.certificate is None else self.thumbprint
        access = Access(now=self._now(), audience=self._keys.audience, certificate=certificate)
        token = self.token(scope, **options)
        return verify(token, self._keys, access, require_certificate=not options.get("unbound", False))

    def headers(self, scope: str = DEFAULT_SCOPE, **options: Unpack[RequestOptions]) -> dict[str, str]:
        """Return the Authorization header of a request, for any HTTP client."""
        given = dict(options)
        if "token" not in given:
            return {"Authorization": f"Bearer {self.token(scope, **cast('TokenOptions', given))}"}
        token = given.pop("token")
        if given or scope != DEFAULT_SCOPE:
            raise ValueError(
                "a token that is given as it is has no further options: leave out token= or them"
            )
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    def wsgi(self, scope: str = DEFAULT_SCOPE, **options: Unpack[RequestOptions]) -> dict[str, Any]:
        """Return the entries of a WSGI environment that tell of the token and the connection."""
        headers = {f"HTTP_{name.upper()}": value for name, value in self.headers(scope, **options).items()}
        return {**headers, **wsgi_connection(self.certificate, self.address)}

    def flask(self, scope: str = DEFAULT_SCOPE, **options: Unpack[RequestOptions]) -> dict[str, Any]:
        """Return arguments for Flask's test client: `client.get("/invoices", **holder.flask("read"))`."""
        return {"environ_overrides": self.wsgi(scope, **options)}

    def django(self, scope: str = DEFAULT_SCOPE, **options: Unpack[RequestOptions]) -> dict[str, Any]:
        """Return arguments for Django's Client: `client.get("/invoices", **holder.django("read"))`."""
        return self.wsgi(scope, **options)

    def django_async(self, client: Client) -> Client:
        """Return Django's AsyncClient with each of its requests over this holder's connections.

        client = holder.django_async(AsyncClient())
        await client.get("/invoices", headers=holder.headers("read"))
        """
        client.handler = shown_to(client.handler, self.certificate)
        return client

    def asgi(self, scope: str = DEFAULT_SCOPE, **options: Unpack[RequestOptions]) -> dict[str, Any]:
        """Return the entries of an ASGI scope that tell of the token and the connection."""
        headers = self.headers(scope, **options).items()
        return {
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "extensions": asgi_extensions(self.certificate),
        }

    def over_tls(self, app: Application) -> Application:
        """Return the ASGI application as this holder's connections reach it.

        It is for clients that cannot describe a connection: Starlette's and FastAPI's TestClient, httpx.

        client = TestClient(holder.over_tls(app))
        client.get("/invoices", headers=holder.headers("read"))
        """
        return OverTls(app, self.certificate)

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self._clock()))

    def _confirmed(self, other: "FakeHolder | Thumbprint | None") -> Thumbprint:
        if other is None:
            return self.thumbprint
        return other.thumbprint if isinstance(other, FakeHolder) else parse_thumbprint(other)

    def _key_for(self, audience: str | None) -> AudienceKey:
        """Return a key of the ring, or one that the guard lacks for another audience."""
        key = next(iter(self._keys.keys.values()))
        if audience in (None, self._keys.audience):
            return key
        return audience_key(RootKey(key.kid, secrets.token_bytes(KEY_BYTES)), audience)

    def _grant(self, key: AudienceKey, scope: str, *, expired: bool) -> Grant:
        assert key.audience is not None
        now = self._now()
        iat = now - LIFETIME - 2 * LONGEST_CLOCK_SKEW if expired else now
        jti = encode(secrets.token_bytes(TOKEN_ID_BYTES))
        return Grant(
            aud=key.audience,
            client_id=self.client_id,
            exp=iat + LIFETIME,
            iat=iat,
            jti=jti,
            kid=key.kid,
            scope=scope,
            sub=self.subject,
        )


def _der(certificate: bytes | None) -> DerCertificate:
    """Return the DER of a certificate; a fresh one is random, and no client can present it over real TLS."""
    if certificate is None:
        return DerCertificate(b"\x30\x20" + secrets.token_bytes(32))
    return der_of(certificate) if b"-----BEGIN" in certificate else DerCertificate(certificate)
