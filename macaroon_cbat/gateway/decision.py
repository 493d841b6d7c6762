"""The decision about one question of a proxy: trust first, then the rules, then the guard."""

from msgspec import Struct

from macaroon_cbat.certificate.forwarded import TrustedProxies
from macaroon_cbat.errors import OAuthError, Unavailable, UntrustedProxy
from macaroon_cbat.gateway.principal_headers import EMPTY_PRINCIPAL_HEADERS, principal_headers
from macaroon_cbat.gateway.question import Facts, Kind, Question
from macaroon_cbat.gateway.rules import Rules
from macaroon_cbat.macaroon.claims import EpochSeconds
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

    def decide(self, question: Question) -> Answer | Untrusted:
        """Return 200 with the principal's headers, or the refusal. Trust in the sender is judged here, once.

        A sender that is not a trusted proxy is Untrusted, and learns nothing but that.
        """
        now, facts = self.admission.now(), None
        try:
            if (distrust := self.trust.distrust(question.connection)) is not None:
                raise UntrustedProxy(f"a question is not answered: {distrust}")
            if question.is_for(self.document):
                return self._document()
            facts = question.facts(self.kind, self.path_prefix)
            rule, path = self.rules.route(facts.method, facts.uri)
        except (OAuthError, Unavailable) as error:
            request = _presented(now, question, facts, None)
            self.admission.write_or_log_refusal(error, request)
            return self._refused(error, request)
        if rule.public:
            return _PUBLIC
        request = _presented(now, question, facts, path)
        try:
            principal = self.admission.admit(request, rule.scope or "")
        except (OAuthError, Unavailable) as error:
            return self._refused(error, request)
        return Answer(200, principal_headers(principal), b"")

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
    now: EpochSeconds, question: Question, facts: Facts | None, path: str | None
) -> PresentedRequest:
    """Return the request that is judged; without facts, only the address of the sender is known."""
    connection = question.connection
    return PresentedRequest(
        now=now,
        authorization=None if facts is None else facts.authorization,
        proof=None if facts is None else presented_proof(facts.credentials),
        connection=connection,
        method="" if facts is None else facts.method,
        path=path,
        address=connection.address() if facts is None else facts.address,
        is_address_known=facts is not None,
        credentials=() if facts is None else facts.credentials,
    )
