"""Spoofs: the thief has the token, another certificate or none, and writes the holder's into headers."""

from collections.abc import Callable, Iterable

from macaroon_cbat.certificate.formats import FORMATS
from tests.support.certificate_spellings import SPELLINGS
from tests.support.proxies.clients import Ask, Headers
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import PRINCIPAL, bearer, both, h2, holder, judged, let_in, refused
from tests.support.proxies.rows import Row
from tests.support.tls_servers import Client

EVIL = "spoofed"


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
    """Have the proxy drop its own header: then no client may be taken for another, or for none."""
    forged = as_written(stand.row, stand.world.holders["self-signed"])
    names = ", ".join([name for name, _ in forged] + ["Proxysecret", "Authorization", *PRINCIPAL])
    connection = (("Connection", f"close, {names}"),)
    token = bearer(stand.world.bound())
    clients = (None, stand.world.holders["thief"])
    thieves = refused(stand, *[Ask(headers=(*token, *forged, *connection), client=each) for each in clients])
    return [*thieves, *let_in(stand, headers=(*token, *connection))]


def principal(stand: Stand) -> list[str]:
    """Have the holder claim another name, under every spelling."""
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
    """Have a client without a token claim a name on a public path."""
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
    "/.well-known/oauth-protected-resource/../../invoices",
    "/.well-known/oauth-protected-resource/..%2f..%2finvoices",
    "/.well-known/oauth-protected-resource/invoices",
    "/health/../invoices",
    "/health/%2e%2e/invoices",
    "/health/..%2finvoices",
    "/health\\..\\invoices",
    "//invoices",
    "/invoices/../invoices",
    "/./invoices",
    "/%69nvoices",
    "/health/..;/invoices",
    "https://localhost/health/../invoices",
    "/.macaroon-cbat-gateway",
    "/.macaroon-cbat-gateway/../invoices",
)


def other_paths(stand: Stand) -> list[str]:
    """Reach a guarded path by way of a public one, as proxy and gateway may read a path differently."""
    outcomes = []
    asks = [
        each for path in ODD_PATHS for each in both(Ask(path=path)) if path.startswith("/") or not each.is_h2
    ]
    for ask in asks:
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
