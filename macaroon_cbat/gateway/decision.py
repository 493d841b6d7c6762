"""The decision: one question of a proxy in, one answer out: the rules first, then the guard."""

from msgspec import Struct

from macaroon_cbat.certificate.forwarded import TrustedProxies
from macaroon_cbat.errors import OAuthError, Unavailable, UntrustedProxy
from macaroon_cbat.gateway.principal_headers import EMPTY_PRINCIPAL_HEADERS, principal_headers
from macaroon_cbat.gateway.question import Facts, Kind, Question
from macaroon_cbat.gateway.rules import Rules, method_of, path_of
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource.admission import Admission, PresentedRequest
from macaroon_cbat.resource.responses import Answer, metadata_answer, refusal, unavailable

_FORBIDDEN = 403
_PUBLIC = Answer(200, EMPTY_PRINCIPAL_HEADERS, b"")


class Gateway(Struct, frozen=True, kw_only=True):
    """Everything that one policy file says, ready to decide."""

    rules: Rules
    kind: Kind
    path_prefix: str
    trust: TrustedProxies
    admission: Admission
    document: str
    """The request target of the metadata document (RFC 9728), which every challenge names."""

    def decide(self, question: Question) -> Answer:
        """Return 200 with the principal's headers, or the refusal; a stranger learns nothing but 403."""
        now = self.admission.now()
        request = _unread(now, question)
        try:
            try:
                self._refuse_strangers(question)
                if question.is_for(self.document):
                    return self._document()
                facts = question.facts(self.kind, self.path_prefix)
                request = _presented(now, question, facts, None)
                method, path = method_of(facts.method), path_of(facts.uri)
                rule = self.rules.rule_for(method, path)
            except (OAuthError, Unavailable) as error:
                self.admission.write_or_log_refusal(error, request)
                raise
            if rule.public:
                return _PUBLIC
            principal = self.admission.admit(_presented(now, question, facts, path), rule.scope or "")
        except OAuthError as error:
            return self._passed_on(refusal(error, self.admission))
        except Unavailable as error:
            return unavailable(error, f"what a proxy asks: {request.method!r} for {request.address!r}")
        return Answer(200, principal_headers(principal), b"")

    def _refuse_strangers(self, question: Question) -> None:
        if (distrust := self.trust.distrust(question.connection)) is not None:
            raise UntrustedProxy(f"a question is not answered: {distrust}")

    def _document(self) -> Answer:
        answer = metadata_answer(self.admission, self.rules.scopes())
        return Answer(answer.status, (*answer.headers, *EMPTY_PRINCIPAL_HEADERS), answer.body)

    def _passed_on(self, answer: Answer) -> Answer:
        """Return an answer that this kind of proxy passes on; one that it would not becomes 403."""
        statuses = self.kind.statuses
        if statuses is None or answer.status in statuses:
            return answer
        return Answer(_FORBIDDEN, answer.headers, answer.body)


def _unread(now: EpochSeconds, question: Question) -> PresentedRequest:
    """Return what is known before the proxy's word counts: who asks."""
    return PresentedRequest(
        now=now,
        authorization=None,
        connection=question.connection,
        method="",
        path=None,
        address=question.connection.address(),
    )


def _presented(now: EpochSeconds, question: Question, facts: Facts, path: str | None) -> PresentedRequest:
    return PresentedRequest(
        now=now,
        authorization=facts.authorization,
        connection=question.connection,
        method=facts.method,
        path=path,
        address=facts.address,
        is_address_known=True,
    )
