"""DPoP proofs at the service (RFC 9449 5): verified for one request, and used once in all processes."""

from macaroon_cbat.errors import InvalidDpopProof
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.credential_headers import PROOF, CredentialHeaders
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.dpop_proof import DpopProof, ProvedRequest, read_proof, verify_proof
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.target import Target, parse_target
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.stores import ExpiringStore


class TokenProof:
    """A proof that holds for the request at hand; once used, it is good for no other. `key` is proved."""

    def __init__(
        self, proof: DpopProof, now: EpochSeconds, used: ExpiringStore, restored_at: int = 0
    ) -> None:
        """Take a verified proof. What was used before the second `restored_at` is forgotten."""
        self.key: KeyThumbprint = proof.proof_key
        self._proof, self._now, self._used = proof, now, used
        self._restored_at = restored_at
        self._is_used = False

    def use(self) -> None:
        """Record that the proof was used, once a request.

        Call this once the client is authenticated: others cannot fill the database. Raises InvalidDpopProof
        if another request used it, in any process, and Unavailable without the database.
        """
        if self._is_used:
            return
        if self._restored_at and self._proof.claims["iat"] <= self._restored_at + DEFAULT_CLOCK_SKEW:
            raise InvalidDpopProof(
                "the DPoP proof may have been used before the database was restored: make another one"
            )
        name, until = self._proof.use_name().hex(), self._proof.usable_until(DEFAULT_CLOCK_SKEW) + 1
        if not self._used.add("used_proof", name, expires_at=until, now=self._now):
            raise InvalidDpopProof("the DPoP proof was used before: make one for each request")
        self._is_used = True


class TokenProofs:
    """The verification of the proofs that requests to the service bring."""

    def __init__(
        self, issuer: Issuer, mtls_url: str, used: ExpiringStore, *, needs_nonce: bool, restored_at: int = 0
    ) -> None:
        """Verify for the endpoints of this issuer, which clients may also reach below `mtls_url`.

        `restored_at` is the second in which the database was restored, or 0. A nonce is never older.
        """
        self._restored_at = 0 if needs_nonce else restored_at
        self._issuer, self._mtls_url = issuer, mtls_url
        self._used = used
        self._needs_nonce = needs_nonce

    def of_form(self, headers: CredentialHeaders, uri: str, now: EpochSeconds) -> TokenProof | None:
        """Return the proof of a POST to this endpoint without an access token; None without a DPoP header.

        Raises InvalidDpopProof, and UseDpopNonce if nonces are required.
        """
        values = proof_values(headers)
        if not values:
            return None
        path = uri.removeprefix(self._issuer.url)
        targets = [parse_target(base + path) for base in {self._issuer.url, self._mtls_url}]
        return self.verified(read_proof(values), "POST", targets, now)

    def verified(
        self,
        proof: DpopProof,
        method: str,
        targets: list[Target],
        now: EpochSeconds,
        *,
        token: str | None = None,
    ) -> TokenProof:
        """Return a proof that holds for this request; raises as `of_form` does."""
        request = ProvedRequest(
            now=now, clock_skew=DEFAULT_CLOCK_SKEW, method=method, targets=targets, token=token
        )
        verify_proof(proof, request, self._nonces() if self._needs_nonce else None)
        return TokenProof(proof, now, self._used, self._restored_at)

    def _nonces(self) -> DpopNonces:
        """Return the nonces, of a secret that every process of the service derives from the root key."""
        return self._issuer.dpop_nonces()


def proof_values(headers: CredentialHeaders) -> tuple[str, ...]:
    """Return the values of a request's DPoP headers."""
    return tuple(value for name, value in headers if name == PROOF)
