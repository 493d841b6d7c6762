"""The decision about one question of a proxy: trust first, then the rules, then the guard."""

from contextlib import suppress

from msgspec import Struct, field

from macaroon_cbat.certificate.forwarded import TrustedProxies
from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.errors import OAuthError, Unavailable, UntrustedProxy
from macaroon_cbat.gateway.known_heads import Head, KnownHeads
from macaroon_cbat.gateway.principal_headers import EMPTY_PRINCIPAL_HEADERS, principal_headers
from macaroon_cbat.gateway.question import Facts, HttpQuestion, Kind, Question
from macaroon_cbat.gateway.rules import Rules
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.presented_proof import presented_proof
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.responses import Answer, metadata_answer, refusal, unavailable

_FORBIDDEN = 403
_PUBLIC = Answer(200, EMPTY_PRINCIPAL_HEADERS, b"")


class Untrusted(Struct, frozen=True):
    """The decision about a sender that is not a trusted proxy, with the answer that it gets over HTTP."""

    answer: Answer


class Gateway(Struct, frozen=True, kw_only=True):
    """One policy file, ready to decide by."""

    rules: Rules
    kind: Kind
    path_prefix: str
    trust: TrustedProxies
    admission: Admission
    document: str
    """The request target of the metadata document (RFC 9728), which every challenge names."""
    heads: KnownHeads = field(default_factory=KnownHeads)

    def decide(self, question: Question) -> Answer | Untrusted:
        """Return 200 with the principal's headers, or the refusal. Trust in the sender is judged here, once.

        A sender that is not a trusted proxy is Untrusted, and learns nothing but that.
        """
        try:
            if (distrust := self.trust.distrust(question.connection)) is not None:
                raise UntrustedProxy(f"a question is not answered: {distrust}")
            if question.is_for(self.document):
                return self._document()
            facts = question.facts(self.kind, self.path_prefix)
        except (OAuthError, Unavailable) as error:
            return self._noted(error, question, Facts(address=question.connection.address()))
        return self._judged(question, facts)

    def decide_known(self, data: bytes, address: str | None) -> Answer | Untrusted | None:
        """Return the decision about the question that these bytes are, or None if its head is not known."""
        known = self.heads.find(data, address)
        return None if known is None else self._judged(*known)

    def remember(self, data: bytes, question: HttpQuestion) -> None:
        """Keep the head of a question that was parsed from these bytes, and answered with 200."""
        with suppress(OAuthError, Unavailable):  # a public path may be asked about without a certificate
            certificate = question.presented(self.admission.certificate_source)
            self.heads.add(data, question, question.facts(self.kind, self.path_prefix), certificate)

    def _judged(self, question: Question | Head, facts: Facts) -> Answer | Untrusted:
        """Return the decision about a request that a trusted proxy asks about."""
        path = None
        try:
            rule, path = self.rules.route(facts.method, facts.uri)
            if rule.public:
                return _PUBLIC
            certificate = question.presented(self.admission.certificate_source)
        except (OAuthError, Unavailable) as error:
            return self._noted(error, question, facts, path)
        request = self._presented(question, facts, path, certificate)
        try:
            principal = self.admission.admit(request, rule.scope or "")
        except (OAuthError, Unavailable) as error:
            return self._refused(error, request)
        return Answer(200, principal_headers(principal), b"")

    def _noted(
        self,
        error: OAuthError | Unavailable,
        question: Question | Head,
        facts: Facts,
        path: str | None = None,
    ) -> Answer | Untrusted:
        """Return the refusal of what no guard has judged, once it is audited and counted."""
        request = self._presented(question, facts, path)
        self.admission.write_or_log_refusal(error, request)
        return self._refused(error, request)

    def _refused(self, error: OAuthError | Unavailable, request: PresentedRequest) -> Answer | Untrusted:
        """Return the refusal, in a status that this kind of proxy passes on; 403 stands for all others."""
        if isinstance(error, Unavailable):
            return unavailable(error, f"what a proxy asks: {request.method!r} for {request.address!r}")
        answer, statuses = refusal(error, self.admission, request), self.kind.statuses
        if statuses is not None and answer.status not in statuses:
            answer = Answer(_FORBIDDEN, answer.headers, answer.body)
        return Untrusted(answer) if isinstance(error, UntrustedProxy) else answer

    def _document(self) -> Answer:
        answer = metadata_answer(self.admission, self.rules.scopes())
        return Answer(answer.status, (*answer.headers, *EMPTY_PRINCIPAL_HEADERS), answer.body)

    def _presented(
        self,
        question: Question | Head,
        facts: Facts,
        path: str | None,
        certificate: PresentedCertificate | None = None,
    ) -> PresentedRequest:
        """Return the request that is judged."""
        return PresentedRequest(
            now=self.admission.now(),
            authorization=facts.authorization,
            proof=presented_proof(facts.credentials) if facts.credentials else None,
            connection=question.connection,
            method=facts.method,
            path=path,
            address=facts.address,
            is_address_known=True,
            credentials=facts.credentials,
            certificate=certificate,
        )
