"""The rules of a guard without a framework, which every adapter calls."""

import re
import time
from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from macaroon_cbat.certificate.source import (
    NO_CERTIFICATE,
    CertificateSource,
    PresentedCertificate,
    client_address,
    tls_connection,
)
from macaroon_cbat.errors import InvalidRequest, InvalidToken, OAuthError, ServerMisconfigured, Unavailable
from macaroon_cbat.macaroon.bearer import read_credentials
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.custom import NO_JUDGES, Judge
from macaroon_cbat.macaroon.discharge_headers import presented_macaroons
from macaroon_cbat.macaroon.dpop_proof import DpopProof
from macaroon_cbat.macaroon.target import Target
from macaroon_cbat.macaroon.verification import (
    Principal,
    Requirement,
    require_confirmation,
    require_key,
    require_scope,
)
from macaroon_cbat.resource.audit import log_misconfigured, reason_of, warn_ignored, write_or_log_refusal
from macaroon_cbat.resource.hidden_certificates import refuse_hidden
from macaroon_cbat.resource.metrics import count_refused, count_unavailable, count_verified
from macaroon_cbat.resource.overrides import why_method_is_unknown, why_path_is_unknown
from macaroon_cbat.resource.proofs import ProofRules, Proving, claimed_proof
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.verifier import TokenVerifier

Clock = Callable[[], float]
"""A function that returns the seconds since the epoch."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}\Z")
_COMMON_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Admission(Struct, frozen=True, kw_only=True):
    """The rules of one resource server, by which requests are admitted."""

    verifier: TokenVerifier
    certificate_source: CertificateSource = tls_connection
    require_certificate: bool = True
    """False admits unbound tokens."""
    require: Requirement = "certificate"
    proofs: ProofRules = field(default_factory=ProofRules)
    origin: str | None = None
    """The origin that proofs, and `htu` and `path` caveats, are compared with; it never comes from Host."""
    root_path: str = ""
    """The path below which the deployment mounts the application."""
    clock_skew: int = 0
    """Seconds by which this clock and the service's may differ."""
    clock: Clock = time.time
    custom: Mapping[str, Judge] = NO_JUDGES
    """The judges of custom caveats, by name."""
    explain: bool = False
    """True tells every client the whole reason of its refusal."""

    @property
    def requires_certificate(self) -> bool:
        """Whether every token must be bound to a certificate."""
        return self.require_certificate and self.require == "certificate"

    def now(self) -> EpochSeconds:
        """Return the time by the clock. Adapters call this once a request."""
        return EpochSeconds(int(self.clock()))

    def admit(self, request: PresentedRequest, scope: str = "") -> Principal:
        """Return the principal of a request that its token allows, with each of these scopes.

        Raises an OAuthError if the request is refused, Unavailable if that cannot be told. Either is audited
        and counted.
        """
        presented = request.certificate or NO_CERTIFICATE
        if request.overrides:
            request = _without_overridden(request, self.root_path)
        try:
            _check_method(request.method)
            if request.certificate is None:
                presented = self.certificate_source(request.connection)
            principal = self._admit(request, presented, scope)
        except (OAuthError, Unavailable) as error:
            self.write_or_log_refusal(error, request, presented)
            raise
        _warn_ignored(presented)
        count_verified(principal)
        return principal

    def write_or_log_refusal(
        self,
        error: OAuthError | Unavailable,
        request: PresentedRequest,
        presented: PresentedCertificate = NO_CERTIFICATE,
    ) -> None:
        """Audit and count a refusal, and add its reason; adapters call this for refusals of their own."""
        _warn_ignored(presented)
        reason = reason_of(error, request, presented)
        if self.explain:
            error.told = reason
        if isinstance(error, Unavailable):
            if isinstance(error, ServerMisconfigured):
                log_misconfigured(error, request)
            count_unavailable(error)
            return
        write_or_log_refusal(error, reason, request, presented, self.verifier.audience)
        count_refused(error)

    def _admit(self, request: PresentedRequest, presented: PresentedCertificate, scope: str) -> Principal:
        discharges: tuple[str, ...] = ()
        if request.credentials:
            scheme, text, discharges = presented_macaroons(request.authorization, request.credentials)
        else:
            scheme, text = read_credentials(request.authorization)
        require = self.require
        proof = claimed_proof(request.proof) if scheme == "DPoP" else None
        access = self._access(request, presented, proof)
        proving = None
        if proof is not None and request.proof is not None:
            proving = Proving(self.proofs, proof, request.proof, access, text)
        try:
            principal = self.verifier.verify(
                text,
                access,
                require_certificate=require == "certificate" and self.require_certificate,
                custom=self.custom if proving is None else proving.before(self.custom),
                discharges=discharges,
            )
        except InvalidToken as error:
            refuse_hidden(error, text, presented)
            raise
        if require != "certificate":
            require_confirmation(principal, require)
        if proving is not None:
            require_key(principal)
            proving.prove()
        require_scope(principal, scope)
        return principal

    def _access(
        self, request: PresentedRequest, presented: PresentedCertificate, proof: DpopProof | None
    ) -> Access:
        """Return the facts of the request."""
        known = request.is_address_known
        return Access(
            now=request.now,
            clock_skew=self.clock_skew,
            audience=self.verifier.audience,
            certificate=presented.thumbprint,
            method=request.method if request.is_method_known else None,
            target=_target(self.origin, request.path),
            address=request.address
            if known
            else client_address(request.connection, presented, request.address),
            proof_key=None if proof is None else proof.proof_key,
        )


def _without_overridden(request: PresentedRequest, root_path: str) -> PresentedRequest:
    """Return the request, its path or method unknown if a header names another one."""
    why_path = why_path_is_unknown(request.overrides, request.path, root_path)
    why_method = why_method_is_unknown(request.overrides, request.method)
    whys = [why for why in (request.why_no_path, why_path, why_method) if why is not None]
    return replace(
        request,
        path=None if why_path else request.path,
        is_method_known=why_method is None,
        why_no_path="; ".join(whys) or None,
    )


def _check_method(method: str) -> None:
    """Raise InvalidRequest unless the method is in capitals: frameworks dispatch `delete` as DELETE."""
    if method not in _COMMON_METHODS and not _METHOD.match(method):
        raise InvalidRequest(
            f"the method {method[:32]!r} is not in capital letters: send it as HTTP spells it"
        )


def _warn_ignored(presented: PresentedCertificate) -> None:
    """Log an ignored certificate header once a request, not for the attempt that a thread repeats."""
    if presented.ignored is not None:
        warn_ignored(presented.ignored)


def _target(origin: str | None, path: str | None) -> Target | None:
    return None if origin is None or path is None else Target(origin, path)
