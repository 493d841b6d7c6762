"""The guard of the service's own endpoints, which verifies by the same core as every resource server.

The audience is the issuer itself, every token is bound to the certificate of the connection or to the key of
the request's DPoP proof, and revocations apply at once. A client may do what it is registered for now, even
if its token was granted more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Request

from macaroon_cbat.certificate.source import client_address
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import (
    AccessDenied,
    CaveatsNotMet,
    InvalidDpopProof,
    InvalidToken,
    UnknownKey,
    UseDpopNonce,
)
from macaroon_cbat.errors.dpop import NonceRequired, ProofRefused
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.credential_headers import CredentialHeaders, credentials_in_environ
from macaroon_cbat.macaroon.discharge_headers import presented_macaroons
from macaroon_cbat.macaroon.dpop_proof import DpopProof, read_proof
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKey
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.verification import Principal, require_key, require_scope, verify
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.audit import is_with
from macaroon_cbat.service.http.client_certificate import client_certificate, require_reachable
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.token_proofs import TokenProofs, proof_values
from macaroon_cbat.stores import Client, Stores


@dataclass(frozen=True, slots=True)
class OwnGuard:
    """Admits clients of the service; a KeySource for tokens whose audience is the issuer.

    `htu` and `path` caveats are compared with the URLs of `locations`.
    """

    issuer: Issuer
    stores: Stores
    clock: Callable[[], float]
    locations: Locations
    proofs: TokenProofs

    def admit(self, request: Request, scope: str) -> Client:
        """Return the client that is registered for this scope and whose bound token carries it.

        Raises what `admitted` raises.
        """
        return self.admitted(request, scope)[0]

    def admitted(self, request: Request, scope: str) -> tuple[Client, Principal]:
        """Return the client that `admit` returns, and the principal, whose subject may be a user.

        Raises MissingToken, InvalidToken, ProofRefused or NonceRequired for a DPoP proof that does not hold,
        InsufficientScope, AccessDenied if the token has the scope and the
        client's registration does not, ServerMisconfigured if this server can show no certificate, or
        Unavailable if the database is out of reach.
        """
        environ = request.environ
        headers = credentials_in_environ(environ)
        scheme, text, discharges = presented_macaroons(environ.get("HTTP_AUTHORIZATION"), headers)
        proof = _claimed_proof(headers) if scheme == "DPoP" else None
        access = self.access(request, None if proof is None else proof.proof_key)
        try:
            principal = self._verified(text, access, discharges)
        except CaveatsNotMet as error:
            if error.lacks_certificate_alone:
                require_reachable(client_certificate(request))
            raise
        is_with(principal.client_id, principal.token_id)
        if proof is not None:
            require_key(principal)
            self._prove(proof, access, text, self.locations.targets_of(request))
        require_scope(principal, scope)
        client = self._registered(principal)
        if scope not in client.metadata.scopes:
            raise AccessDenied(f"client {client.client_id!r} is no longer registered for scope {scope!r}")
        return client, principal

    def grant_of(self, request: Request) -> Grant:
        """Return the grant of the token of a request that was admitted, which is authentic since then."""
        headers = credentials_in_environ(request.environ)
        _, text, _ = presented_macaroons(request.environ.get("HTTP_AUTHORIZATION"), headers)
        return read_identifier(read_macaroon(text).identifier)

    def access(self, request: Request, proof_key: KeyThumbprint | None = None) -> Access:
        """Return the facts of a request, by which caveats are judged."""
        environ, presented = request.environ, client_certificate(request)
        return Access(
            now=EpochSeconds(int(self.clock())),
            audience=self.issuer.audience,
            certificate=presented.thumbprint,
            method=request.method,
            target=self.locations.target_of(request),
            address=client_address(WsgiConnection(environ), presented, environ.get("REMOTE_ADDR")),
            proof_key=proof_key,
        )

    def _verified(self, text: str, access: Access, discharges: tuple[str, ...]) -> Principal:
        """Return the principal of the token; the audit log learns which authentic token is refused.

        A token with a proof need not name a certificate: `admitted` requires that it names a key.
        """
        try:
            return verify(
                text,
                self,
                access,
                require_certificate=access.proof_key is None,
                revocations=self.stores.revocations,
                discharges=discharges,
            )
        except InvalidToken as error:
            if error.grant is not None:
                is_with(*error.grant)
            raise

    def _prove(self, proof: DpopProof, access: Access, token: str, targets: list[Target]) -> None:
        """Raise ProofRefused or NonceRequired unless the proof holds for this request and is new."""
        assert access.method is not None
        try:
            self.proofs.verified(proof, access.method, targets, access.now, token=token).use()
        except UseDpopNonce as error:
            raise NonceRequired(error.nonce) from error
        except InvalidDpopProof as error:
            raise ProofRefused(str(error)) from error

    def _registered(self, principal: Principal) -> Client:
        """Return the client as it is registered now, or raise InvalidToken for a token of before."""
        client = self.stores.clients.find(principal.client_id)
        if client is None:
            raise InvalidToken(f"client {principal.client_id!r} is no longer registered")
        if principal.issued_at < client.tokens_since:
            raise InvalidToken(
                f"client {principal.client_id!r} was changed or registered again: get a new token"
            )
        return client

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key for a grant whose audience is the issuer itself, or raise UnknownKey."""
        if unverified.aud != self.issuer.audience:
            raise UnknownKey(f"minted for {unverified.audience!r}, not for the service itself")
        return self.issuer.key_for(unverified)


def _claimed_proof(headers: CredentialHeaders) -> DpopProof:
    """Return the proof beside the scheme DPoP, not yet verified, or raise ProofRefused."""
    try:
        return read_proof(proof_values(headers))
    except InvalidDpopProof as error:
        raise ProofRefused(str(error)) from error
