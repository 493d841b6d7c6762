"""A client of an authorization server that obtains tokens by client credentials."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from macaroon_cbat.client.authentication import ClientAuthentication
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.granted_tokens import GrantedTokens
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.proxies import connected_through_proxy
from macaroon_cbat.client.service import Service
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError


@dataclass(kw_only=True, eq=False)
class TokenClient:
    """A client of one authorization server; call it for a token that is still valid. Thread-safe.

    It authenticates with `client_secret` (client_secret_basic), otherwise with the certificate (RFC 8705 2).
    A client with a certificate uses the endpoint for mutual TLS (RFC 8705 5). The proxy that HTTPS_PROXY
    names is used. A call raises Refused if the service answers an error or nonsense, Unavailable if no answer
    comes. Raises SettingsError for unusable settings.
    """

    issuer: str
    client_id: str
    client_secret: str | Path | None = field(default=None, repr=False)
    """The secret itself, or as a Path the private file that holds it, followed when it is replaced."""
    certificate: ClientCertificate | None = None
    key: ProofKey | None = None
    """The DPoP key that every token is bound to when it is granted; it authenticates no client."""
    ca: Path | str | None = None
    """A PEM file with the CA of the service, followed when it is replaced; None means the system's CAs."""
    scope: str | None = None
    """Space-separated."""
    resource: str | tuple[str, ...] | None = None
    """The audience of the token, or several, which introspect it (RFC 8707)."""
    authorization_details: str | None = None
    """The details of the token, as a JSON list (RFC 9396)."""
    leeway: float = 30
    """Seconds before expiry from which on a new token is fetched; half its lifetime at most."""
    timeout: float = 10
    """Seconds for a whole exchange with the service."""
    monotonic: Callable[[], float] = field(default=time.monotonic, repr=False)
    """The clock by which a token grows old, in seconds."""
    service: Service = field(init=False, repr=False)
    _tokens: GrantedTokens = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise SettingsError for settings that could not work, before the first request."""
        if self.client_secret is None and self.certificate is None:
            raise SettingsError("a client authenticates by a secret or a certificate: give one of them")
        own = OwnConnections(self.certificate, ServerTrust(self.ca), connected_through_proxy)
        authentication = ClientAuthentication(self.client_id, self.client_secret)
        self.service = Service(self.issuer, authentication, own, self.timeout, compares_clocks=True)
        self._tokens = GrantedTokens(
            self.service,
            self.certificate,
            scope=self.scope,
            resource=self.resource,
            details=self.authorization_details,
            leeway=self.leeway,
            key=self.key,
            monotonic=self.monotonic,
        )

    def __call__(self) -> str:
        """Return a token, from memory until it has to be renewed; of calls at the same time, one fetches."""
        return self._tokens.current().text

    def discard(self, token: str) -> None:
        """Forget this token, which a resource server rejected, unless another one took its place."""
        self._tokens.discard(token)
