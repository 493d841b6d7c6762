"""What every row must do: one case is one column of the table, and one test a row."""

import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from macaroon_cbat.certificate_formats import FORMATS
from macaroon_cbat.thumbprint import DerCertificate, thumbprint_of
from tests.core.spelling import SPELLINGS
from tests.proxies.clients import Ask, Headers, Reply
from tests.proxies.stand import Row, Stand
from tests.tls.material import Client

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

EVIL = "spoofed"


@dataclass(frozen=True)
class Case:
    """One thing that is tried; `run` returns the statuses that came, and asserts what must never be."""

    name: str
    run: Callable[[Stand], Iterable[str]]
    allowed: frozenset[str]
    but: dict[str, frozenset[str]] = field(default_factory=dict)
    """What is allowed in its place where a product cannot: by the name of the proxy."""

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
    assert reply.arrived("Authorization") == []
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


def challenged(stand: Stand, ask: Ask, code: str) -> list[str]:
    """Return the outcome of a refusal, which says in its challenge why."""
    reply = stand.ask(ask)
    assert reply.seen is None
    assert reply.challenge.startswith("Bearer"), reply
    assert code in reply.challenge, reply.challenge
    return [reply.outcome]


# Who is let in


def no_certificate(stand: Stand) -> list[str]:
    nobody = Ask(headers=bearer(stand.world.bound()))
    return [
        *challenged(stand, nobody, "invalid_token"),
        *challenged(stand, Ask(), "Bearer"),
        *refused(stand, h2(nobody)),
    ]


def another_certificate(stand: Stand) -> list[str]:
    thief = Ask(headers=bearer(stand.world.bound()), client=stand.world.holders["thief"])
    return [*challenged(stand, thief, "invalid_token"), *refused(stand, h2(thief))]


def unbound(stand: Stand) -> list[str]:
    ask = Ask(headers=bearer(stand.world.unbound()), client=stand.world.holders["self-signed"])
    return challenged(stand, ask, "invalid_token")


def insufficient_scope(stand: Stand) -> list[str]:
    token = stand.world.bound(scope="read")
    return challenged(
        stand, holder(stand, method="POST", body="x=1", headers=bearer(token)), "insufficient_scope"
    )


def with_a_body(stand: Stand) -> list[str]:
    reply = stand.ask(holder(stand, method="POST", body="amount=7"))
    outcome = judged(stand, reply)
    assert reply.seen is None or reply.seen["body"] == "amount=7"
    return [outcome]


def resumed(version: ssl.TLSVersion) -> Callable[[Stand], list[str]]:
    def run(stand: Stand) -> list[str]:
        replies = stand.ask_twice(holder(stand), version)
        # Caddy, and Traefik as we configure it, resume no session: each connection proves possession.
        assert replies[1].is_resumed == (stand.row.proxy not in {"caddy", "traefik"})
        return [judged(stand, reply) for reply in replies]

    return run


# Spoofs: the thief has the token, another certificate or none, and writes the holder's into headers


def as_written(row: Row, client: Client) -> Headers:
    """Return the headers that this proxy would write for a certificate."""
    form = FORMATS[row.format]
    return tuple(zip((form.header, *form.companions), SPELLINGS[row.format](client.der), strict=True))


def spoof(rename: Callable[[str], Iterable[str]]) -> Callable[[Stand], list[str]]:
    """Return a case in which a thief, with a certificate and without, writes the holder's into headers."""

    def run(stand: Stand) -> list[str]:
        token = bearer(stand.world.bound())
        forged = as_written(stand.row, stand.world.holders["self-signed"])
        written = tuple((name, value) for header, value in forged for name in rename(header))
        asks = [Ask(headers=(*token, *written), client=c) for c in (None, stand.world.holders["thief"])]
        return refused(stand, *asks, *map(h2, asks))

    return run


def exact(name: str) -> list[str]:
    return [name]


def case(name: str) -> list[str]:
    return [name.upper(), name.swapcase()]


def underscore(name: str) -> list[str]:
    return aliases(name, "_")


def dot(name: str) -> list[str]:
    return aliases(name, ".")


def aliases(name: str, separator: str) -> list[str]:
    """Return the name with another separator; where it has none, with one in the middle and at the end."""
    if "-" in name:
        return [name.replace("-", separator), name.replace("-", separator, 1)]
    return [f"{name[:6]}{separator}{name[6:]}", f"{name}{separator}"]


def duplicate(name: str) -> list[str]:
    return [name, name]


def hop_by_hop(stand: Stand) -> list[str]:
    """Have the proxy drop its own header: nobody then may be taken for somebody, or for nobody by mistake."""
    forged = as_written(stand.row, stand.world.holders["self-signed"])
    names = ", ".join([name for name, _ in forged] + ["Proxysecret", "Authorization", *PRINCIPAL])
    connection = (("Connection", f"close, {names}"),)
    token = bearer(stand.world.bound())
    clients = (None, stand.world.holders["thief"])
    thieves = refused(stand, *[Ask(headers=(*token, *forged, *connection), client=each) for each in clients])
    return [*thieves, *let_in(stand, headers=(*token, *connection))]


def principal(stand: Stand) -> list[str]:
    """Have the holder call itself somebody else, under every spelling."""
    token = bearer(stand.world.bound())
    outcomes = []
    for rename in (exact, case, duplicate, underscore, dot):
        made_up = tuple((each, EVIL) for name in PRINCIPAL for each in rename(name))
        for reply in (stand.ask(a) for a in both(holder(stand, headers=(*token, *made_up)))):
            outcomes.append(judged(stand, reply))
            if reply.seen is not None and not stand.row.is_guarded:
                assert EVIL not in str(reply.seen["headers"]), reply.seen["headers"]
    return outcomes


def public(stand: Stand) -> list[str]:
    """Have anybody call itself somebody on a public path."""
    made_up = tuple((name, EVIL) for name in PRINCIPAL)
    replies = [stand.ask(each) for each in both(Ask(path="/health", headers=made_up))]
    for reply in replies:
        assert reply.seen is not None
        assert EVIL not in str(reply.seen["headers"])
    return [reply.outcome for reply in replies]


def in_the_clear(stand: Stand) -> list[str]:
    token = bearer(stand.world.bound())
    forged = as_written(stand.row, stand.world.holders["self-signed"])
    asks = [Ask(headers=(*token, *forged)), Ask(path="/health"), Ask()]
    replies = [stand.ask_in_the_clear(each) for each in asks]
    assert all(reply.seen is None for reply in replies)
    return [reply.outcome for reply in replies]


def two_tokens(stand: Stand) -> list[str]:
    good = bearer(stand.world.bound())
    bad = bearer(stand.world.unbound())
    client = stand.world.holders["self-signed"]
    asks = [
        Ask(headers=(*pair[0], *pair[1]), client=client) for pair in ((good, bad), (bad, good), (good, good))
    ]
    return refused(stand, *asks, *map(h2, asks))


ODD_PATHS = (
    "/health/../invoices",
    "/health/%2e%2e/invoices",
    "/health/..%2finvoices",
    "/health\\..\\invoices",
    "//invoices",
    "/invoices/../invoices",
    "/./invoices",
    "/%69nvoices",
    "/health/..;/invoices",
    "/.macaroon-cbat-gateway",
    "/.macaroon-cbat-gateway/../invoices",
)


def other_paths(stand: Stand) -> list[str]:
    """Reach a guarded path by way of a public one, as proxy and gateway may read a path differently."""
    outcomes = []
    for ask in (each for path in ODD_PATHS for each in both(Ask(path=path))):
        reply = stand.ask(ask)
        assert reply.seen is None or "invoices" not in reply.seen["line"], (ask.path, reply.seen)
        outcomes.append(reply.outcome)
    return outcomes


def around(stand: Stand) -> list[str]:
    """Write the certificate header around the proxy: from its address without the secret, and another."""
    forged = as_written(stand.row, stand.world.holders["self-signed"])
    facts = (("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/invoices"))
    headers = (*bearer(stand.world.bound()), *forged, *facts)
    path = "/envoy/invoices" if (stand.row.proxy, stand.row.is_guarded) == ("envoy", False) else "/invoices"
    replies = [
        stand.ask_around(Ask(path=path, headers=headers, source=source))
        for source in ("127.0.0.1", "127.0.0.2")
    ]
    assert all(reply.seen is None for reply in replies)
    return [reply.outcome for reply in replies]


def h2(ask: Ask) -> Ask:
    return Ask(ask.path, ask.method, ask.headers, ask.body, ask.client, is_h2=True)


def both(ask: Ask) -> tuple[Ask, Ask]:
    """Return the request for HTTP/1.1 and for HTTP/2."""
    return ask, h2(ask)


CUT = REFUSED | {"cut off"}
"""Where a product ends an HTTP/2 stream in the place of an answer."""

CASES = (
    Case("no certificate", no_certificate, frozenset({"401"})),
    Case("self-signed, P-256", let_in, LET_IN),
    Case("CA-signed", lambda stand: let_in(stand, "CA-signed"), LET_IN),
    Case(
        "expired",
        lambda stand: let_in(stand, "expired"),
        LET_IN,
        {"apache": frozenset({"handshake refused"})},
    ),
    Case("RSA", lambda stand: let_in(stand, "RSA"), LET_IN),
    Case("Ed25519", lambda stand: let_in(stand, "Ed25519"), LET_IN, {"envoy": frozenset({"401"})}),
    Case("resumed, TLS 1.2", resumed(ssl.TLSVersion.TLSv1_2), LET_IN),
    Case("resumed, TLS 1.3", resumed(ssl.TLSVersion.TLSv1_3), LET_IN),
    Case("HTTP/2", lambda stand: let_in(stand, is_h2=True), LET_IN),
    Case("with a body", with_a_body, LET_IN),
    Case("another certificate", another_certificate, frozenset({"401"})),
    Case("unbound token", unbound, frozenset({"401"})),
    Case("too little scope", insufficient_scope, frozenset({"403"})),
    Case("two tokens", two_tokens, REFUSED),
    Case("spoof: exact", spoof(exact), frozenset({"401"})),
    Case("spoof: case", spoof(case), frozenset({"401"})),
    Case("spoof: underscore", spoof(underscore), REFUSED, {"envoy": CUT}),
    Case("spoof: dot", spoof(dot), REFUSED),
    Case("spoof: twice", spoof(duplicate), frozenset({"401"})),
    Case("spoof: Connection", hop_by_hop, REFUSED | LET_IN),
    Case("spoof: principal", principal, LET_IN, {"envoy": LET_IN | {"400", "cut off"}}),
    Case("spoof: public path", public, LET_IN),
    Case("other paths", other_paths, REFUSED | {"404", "301", "308", "cut off"}),
    Case("plain HTTP", in_the_clear, frozenset({"403"})),
    Case("around the proxy", around, REFUSED),
)
