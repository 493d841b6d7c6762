"""The judgement of a case: by the answer, and by what arrived behind the proxy."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from tests.support.proxies.believed import CREDENTIALS
from tests.support.proxies.clients import Ask, Headers, Reply
from tests.support.proxies.deployment import Stand
from tests.support.proxies.rows import Row

LET_IN = frozenset({"200"})
REFUSED = frozenset({"400", "401", "403", "503"})
PRINCIPAL = (
    "Principalclient",
    "Principalsubject",
    "Principalscope",
    "Principaltokenid",
    "Principalcertificate",
)
"""As a server behind the proxy reads them; not taken from the code under test."""


@dataclass(frozen=True)
class Case:
    """One thing that is tried; `run` returns the statuses that came, and asserts what must never be."""

    name: str
    run: Callable[[Stand], Iterable[str]]
    allowed: frozenset[str]
    but: dict[str, frozenset[str]] = field(default_factory=dict)
    """The outcome that is allowed of a product that cannot do it, by the name of the proxy."""

    def expected(self, row: Row) -> frozenset[str]:
        """Return the statuses that are right for a row."""
        return self.but.get(row.proxy, self.allowed)


def bearer(text: str) -> Headers:
    return (("Authorization", f"Bearer {text}"),)


def holder(stand: Stand, kind: str = "self-signed", **changes: object) -> Ask:
    """Return the honest request of a holder."""
    settings = {"headers": bearer(stand.world.bound(kind)), "client": stand.world.holders[kind], **changes}
    return Ask(**settings)  # type: ignore[arg-type]


def let_in(stand: Stand, kind: str = "self-signed", **changes: object) -> list[str]:
    reply = stand.ask(holder(stand, kind, **changes))
    return [judged(stand, reply, kind)]


def judged(stand: Stand, reply: Reply, kind: str = "self-signed") -> str:
    """Return the outcome, after a look at what arrived: the holder's name, nothing made up."""
    if reply.seen is None:
        assert reply.outcome != "200", "the proxy answered by itself"
        return reply.outcome
    if stand.row.is_guarded:
        assert reply.seen["client"] == "billing"
        return reply.outcome
    thumbprint = thumbprint_of(DerCertificate(stand.world.holders[kind].der))
    said = ("billing", "alice", "admin read write", "AAECAwQFBgcICQoLDA0ODw", thumbprint)
    for name, value in zip(PRINCIPAL, said, strict=True):
        assert reply.arrived(name) == [value], name
    assert_nothing_private(reply)
    return reply.outcome


def assert_nothing_private(reply: Reply) -> None:
    """Fail where the token, the secret or a certificate header reaches a server that does not judge them."""
    for name in CREDENTIALS:
        assert reply.arrived(name) == [], name
    assert reply.arrived("Proxysecret") == []
    for form in FORMATS.values():
        assert reply.arrived(form.header) == [], form.header


def refused(stand: Stand, *asks: Ask) -> list[str]:
    """Return the outcomes of requests of which none may reach the server behind."""
    outcomes = []
    for ask in asks:
        reply = stand.ask(ask)
        assert reply.seen is None, f"{ask.headers} reached the server"
        outcomes.append(reply.outcome)
    return outcomes


def challenged(stand: Stand, ask: Ask, code: str, scheme: str = "Bearer") -> list[str]:
    """Return the outcome of a refusal, which says in its challenge why."""
    reply = stand.ask(ask)
    assert reply.seen is None
    assert reply.challenge.startswith(scheme), reply
    assert code in reply.challenge, reply.challenge
    return [reply.outcome]


def h2(ask: Ask) -> Ask:
    return Ask(ask.path, ask.method, ask.headers, ask.body, ask.client, is_h2=True)


def both(ask: Ask) -> tuple[Ask, Ask]:
    """Return the request for HTTP/1.1 and for HTTP/2."""
    return ask, h2(ask)
