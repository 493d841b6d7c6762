"""The authentication of clients (RFC 6749 2.3, RFC 8705 2): all failures look alike to a client."""

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from cryptography.x509 import Certificate

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint
from macaroon_cbat.errors import InvalidClient, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import is_by_old_secret
from macaroon_cbat.service.oauth2.certificate_subjects import is_named_by
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.credentials import PresentedCredentials
from macaroon_cbat.service.oauth2.key_strength import weakness_of
from macaroon_cbat.stores import Client, ClientStore, RevocationStore
from macaroon_cbat.stores.client_keys import certificates_in
from macaroon_cbat.stores.client_secrets import proven_secret
from macaroon_cbat.stores.spiffe_ids import SpiffeId, parse_spiffe_pattern

log = logging.getLogger("macaroon_cbat.service")

_Found = TypeVar("_Found")
_Judgment = Callable[[DerCertificate | None, EpochSeconds, Iterable[DerCertificate]], _Found]

_LONGEST_NAME = 64
"""Characters of a client's name; of a longer text, which is not a name, the log gets this many."""

Publishes = Callable[[Client, Thumbprint], bool]
"""Returns True if a client publishes a certificate at its `jwks_uri`, or raises Unavailable."""


def authenticated_client(
    credentials: PresentedCredentials,
    clients: ClientStore,
    trust: ClientTrust,
    now: EpochSeconds,
    publishes: Publishes = lambda _, __: False,
) -> Client:
    """Return the client that these credentials prove, or raise InvalidClient.

    A refusal takes the same steps for an unknown client as for a registered one of any method: a look into
    memory, one into the database, a hash of the secret in each, and each chain of the certificate once. Only
    what a client publishes is fetched for it alone. Raises Unavailable if it cannot be had.
    """
    proof = _Proof(credentials, trust, now, publishes)

    try:
        return lasting(_proved(clients.remembered(credentials.client_id), credentials, proof), now)
    except InvalidClient:
        pass  # what is in memory may be a second old
    try:
        return lasting(_proved(clients.look_up(credentials.client_id), credentials, proof), now)
    except InvalidClient:
        if credentials.secret is None:
            proof.judge_all()
        raise


def lasting(client: Client, now: EpochSeconds) -> Client:
    """Return the client, or raise InvalidClient if it registered openly and got no token in time.

    Every way to a client goes through here: by a secret, a certificate, its assertion or another's JWT.
    """
    if client.unused_until is not None and client.unused_until <= now:
        raise InvalidClient(f"{client.client_id} registered openly and was not used in time")
    return client


def let_stay(client: Client | None, clients: ClientStore) -> None:
    """Let a client stay that registered openly and has got a token.

    The token is minted and its code used up, so it is given even if this cannot be written. The next token
    lets the client stay then.
    """
    if client is None or client.unused_until is None:
        return
    try:
        clients.keep(client.client_id)
    except Unavailable as error:
        log.warning("client %s got a token, and is still taken for unused: %s", client.client_id, error)


def refuse_revoked_certificate(presented: PresentedCertificate, revocations: RevocationStore) -> None:
    """Raise InvalidClient if the certificate is revoked, also for a client that authenticates by a secret."""
    thumbprint = presented.thumbprint
    if thumbprint is not None and revocations.has_certificate(thumbprint):
        raise InvalidClient(f"the certificate {thumbprint} is revoked")


def is_public(client: Client) -> bool:
    """Return True for a public client, which is not authenticated: any certificate will do (RFC 8705 4)."""
    return client.metadata.token_endpoint_auth_method == "none"


def refuse_public(client: Client) -> None:
    """Raise InvalidClient for a public client."""
    if is_public(client):
        raise InvalidClient(f"{client.client_id} is a public client")


class _Proof:
    """The judgments of the certificate of one request, each made once however many clients need it."""

    __slots__ = ("_credentials", "_spiffe_id", "_trust", "_verified", "now", "publishes")

    def __init__(
        self, credentials: PresentedCredentials, trust: ClientTrust, now: EpochSeconds, publishes: Publishes
    ) -> None:
        self._credentials, self._trust = credentials, trust
        self.publishes, self.now = publishes, now
        self._verified: Certificate | InvalidClient | None = None
        self._spiffe_id: SpiffeId | InvalidClient | None = None

    def verified(self) -> Certificate:
        """Return the leaf of a trusted chain, or raise InvalidClient."""
        if self._verified is None:
            self._verified = self._judged(self._trust.verified)
        return _or_raise(self._verified)

    def spiffe_id(self) -> SpiffeId:
        """Return the SPIFFE ID that its trust domain issued, or raise InvalidClient."""
        if self._spiffe_id is None:
            self._spiffe_id = self._judged(self._trust.spiffe_id)
        return _or_raise(self._spiffe_id)

    def judge_all(self) -> None:
        """Judge the certificate in every way, so that the time of a refusal tells no method."""
        for judgment in (self.verified, self.spiffe_id):
            with suppress(InvalidClient):
                judgment()

    def _judged(self, judgment: _Judgment[_Found]) -> _Found | InvalidClient:
        certificate = self._credentials.presented.certificate
        sent = () if certificate is None else self._credentials.intermediates()
        try:
            return judgment(certificate, self.now, sent)
        except InvalidClient as error:
            return error


def _or_raise(found: _Found | InvalidClient) -> _Found:
    if isinstance(found, InvalidClient):
        raise found
    return found


def _proved(client: Client | None, credentials: PresentedCredentials, proof: _Proof) -> Client:
    """Return the client if the credentials are those of its method, or raise InvalidClient.

    client_secret_basic and client_secret_post carry the same secret: a client that is registered for one may
    use the other. A client of another method has no secret and must not send one.
    """
    secret = credentials.secret
    which = None if secret is None else proven_secret(client, secret, proof.now)
    if client is None:
        raise InvalidClient(f"unknown client {credentials.client_id[:_LONGEST_NAME]!r}")
    match client.metadata.token_endpoint_auth_method:
        case "client_secret_basic" | "client_secret_post":
            _require_secret(client, credentials, which)
        case "self_signed_tls_client_auth":
            _require_registered_certificate(client, _only_certificate(client, credentials), proof.publishes)
        case "tls_client_auth":
            _require_named_certificate(client, _only_certificate(client, credentials), proof)
        case "none":
            _require_no_secret(client, credentials)
            if client.metadata.tls_client_certificate_bound_access_tokens:
                _only_certificate(client, credentials)  # any certificate will do (RFC 8705 4)
        case "private_key_jwt":
            raise InvalidClient(f"{client.client_id} authenticates by a client_assertion, but sent none")
        case method:
            raise InvalidClient(
                f"{client.client_id} authenticates by {method}, which this service does not support"
            )
    return client


def _require_secret(client: Client, credentials: PresentedCredentials, which: str | None) -> None:
    """Raise InvalidClient unless the secret is a valid one; an old one is noted for the audit log."""
    if credentials.secret is None:
        raise InvalidClient(f"{client.client_id} authenticates by a secret, but sent none")
    if which == "ended":
        raise InvalidClient(f"the old secret of {client.client_id} has ended: it has to send the new one")
    if which is None:
        raise InvalidClient(f"wrong secret of {client.client_id}")
    if which == "old":
        is_by_old_secret()


def _require_no_secret(client: Client, credentials: PresentedCredentials) -> None:
    if credentials.secret is not None:
        raise InvalidClient(f"{client.client_id} has no secret, but sent one")


def _only_certificate(client: Client, credentials: PresentedCredentials) -> PresentedCertificate:
    """Return the certificate of a request without a secret, or raise InvalidClient."""
    _require_no_secret(client, credentials)
    if credentials.presented.thumbprint is None:
        why = (
            ""
            if credentials.presented.hidden is None
            else f", where none can arrive: {credentials.presented.hidden}"
        )
        raise InvalidClient(f"{client.client_id} needs a client certificate on the connection{why}")
    return credentials.presented


def _require_registered_certificate(
    client: Client, presented: PresentedCertificate, publishes: Publishes
) -> None:
    """Raise InvalidClient unless the certificate is a registered one (RFC 8705 2.2), or a published one.

    Neither validity nor issuer is checked. The strength of its key is, unless a proxy forwards the hash
    alone.
    """
    metadata = client.metadata
    known = set(metadata.certificates)
    if metadata.jwks is not None:
        known |= certificates_in(metadata.jwks)
    thumbprint = presented.thumbprint
    is_published = thumbprint is not None and metadata.jwks_uri is not None and publishes(client, thumbprint)
    if thumbprint not in known and not is_published:
        raise InvalidClient(f"{client.client_id}: {presented.thumbprint} is not registered")
    if presented.certificate is not None and (weakness := weakness_of(presented.certificate)):
        raise InvalidClient(f"{client.client_id}: {presented.thumbprint} has {weakness}")


def _require_named_certificate(client: Client, presented: PresentedCertificate, proof: _Proof) -> None:
    """Raise InvalidClient unless a trusted CA issued the certificate to the client's name (RFC 8705 2.1)."""
    if presented.certificate is None:
        raise InvalidClient("tls_client_auth needs the certificate, and the proxy forwards its hash alone")
    pattern = client.metadata.tls_client_auth_spiffe_id
    if pattern is not None:
        if not parse_spiffe_pattern(pattern).matches(found := proof.spiffe_id()):
            raise InvalidClient(f"{client.client_id}: {found} is not its SPIFFE ID")
    elif not is_named_by(proof.verified(), client.metadata):
        raise InvalidClient(f"{client.client_id}: the certificate has another name")
