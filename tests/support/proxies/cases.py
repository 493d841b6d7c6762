"""The cases that every row must pass: one case is one column of the table, and one test a row."""

import json
import ssl
import time
from collections.abc import Callable

from macaroon_cbat.macaroon.caveats import Audience, key_confirmation
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS
from tests.support.discharging import (
    asking,
    discharge,
    each_by_itself,
    in_one_header,
    macaroons,
    token_twice,
)
from tests.support.dpop import jkt, key, proof
from tests.support.proxies.clients import Ask, Headers
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import (
    LET_IN,
    REFUSED,
    Case,
    bearer,
    both,
    challenged,
    h2,
    holder,
    judged,
    let_in,
    refused,
)
from tests.support.proxies.spoofs import (
    around,
    case,
    dot,
    duplicate,
    exact,
    hop_by_hop,
    in_the_clear,
    other_paths,
    principal,
    public,
    spoof,
    two_tokens,
    underscore,
)
from tests.support.tokens import API


def no_certificate(stand: Stand) -> list[str]:
    without = Ask(headers=bearer(stand.world.bound()))
    return [
        *challenged(stand, without, "invalid_token"),
        *challenged(stand, Ask(), "Bearer"),
        *refused(stand, h2(without)),
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


def metadata(stand: Stand) -> list[str]:
    """Read how to get a token, as a client that has none; a gateway that speaks gRPC alone cannot tell."""
    reply = stand.ask(Ask(path="/.well-known/oauth-protected-resource"))
    if stand.row.protocol == "grpc":
        assert reply.outcome == "403"
    else:
        assert json.loads(reply.body)["resource"] == API
    return [reply.outcome]


def over_http2(stand: Stand) -> list[str]:
    """Let the holder in over HTTP/2: as these tests write it, and as curl does."""
    return [*let_in(stand, is_h2=True), judged(stand, stand.ask_by_curl(holder(stand)))]


def with_a_body(stand: Stand) -> list[str]:
    reply = stand.ask(holder(stand, method="POST", body="amount=7"))
    outcome = judged(stand, reply)
    assert reply.seen is None or reply.seen["body"] == "amount=7"
    return [outcome]


def with_a_query(stand: Stand) -> list[str]:
    """Pass on path and query as they were sent, for the gateway judged these and no others."""
    outcomes = []
    for ask in both(holder(stand, path="/invoices/7?a=b&c=%2F..%2f&d=/../")):
        reply = stand.ask(ask)
        outcomes.append(judged(stand, reply))
        assert reply.seen is None or reply.seen["line"].split(" ")[1] == ask.path
    return outcomes


def with_the_longest_token(stand: Stand) -> list[str]:
    """Send a token of nearly 8,000 characters, which is as long as one may be."""
    caveats = [Audience((API, f"https://{'x' * 60}.example"))] * 50
    text = stand.world.bound("self-signed", *caveats)
    assert 7800 < len(text) <= MAX_CHARACTERS
    headers = bearer(text)
    return [judged(stand, stand.ask(ask)) for ask in both(holder(stand, headers=headers))]


def with_discharges(stand: Stand) -> list[str]:
    """Send discharges in each header that may bring them; none arrives behind a proxy that asks a gateway."""
    token = asking(asking(stand.world.bound()), b"y")
    discharges = discharge(token), discharge(token, name=b"y")
    forms = (in_one_header, macaroons, token_twice)
    asks = [ask for form in forms for ask in both(holder(stand, headers=form(token, *discharges)))]
    return [judged(stand, stand.ask(ask)) for ask in asks]


def with_repeated_discharges(stand: Stand) -> list[str]:
    """Send one header for each discharge; a proxy that forwards the first alone lets none in for less."""
    token = asking(asking(stand.world.bound()), b"y")
    headers = each_by_itself(token, discharge(token), discharge(token, name=b"y"))
    return [judged(stand, stand.ask(ask)) for ask in both(holder(stand, headers=headers))]


def without_a_discharge(stand: Stand) -> list[str]:
    token = asking(asking(stand.world.bound()), b"y")
    ask = holder(stand, headers=in_one_header(token, discharge(token)))
    return challenged(stand, ask, "third-party caveat 3")


def with_a_proof(stand: Stand) -> list[str]:
    """Send a token that is bound to a key as well, with a proof by that key and the gateway's nonce."""
    token, nonce = _keyed(stand)
    proofs = [proof(token, iat=int(time.time()), nonce=nonce) for _ in range(2)]
    one, other = (holder(stand, headers=_proved(token, each)) for each in proofs)
    return [judged(stand, stand.ask(ask)) for ask in (one, h2(other))]


def with_another_proof(stand: Stand) -> list[str]:
    """Send proofs that do not hold: for another path, used before, or none."""
    token, nonce = _keyed(stand)
    elsewhere = proof(token, iat=int(time.time()), htu=f"{API}/admin", nonce=nonce)
    used = proof(token, iat=int(time.time()), nonce=nonce)
    stand.ask(holder(stand, headers=_proved(token, used)))
    asks = [holder(stand, headers=_proved(token, *proofs)) for proofs in ((elsewhere,), (used,), ())]
    return [outcome for ask in asks for outcome in challenged(stand, ask, "invalid_dpop_proof", "DPoP")]


def _keyed(stand: Stand) -> tuple[str, str | None]:
    """Return a token that is bound to a key as well, and the nonce that the gateway tells a proof without."""
    token = stand.world.bound("self-signed", key_confirmation(KeyThumbprint(jkt(key()))))
    if stand.row.is_guarded:
        return token, None
    reply = stand.ask(holder(stand, headers=_proved(token, proof(token, iat=int(time.time())))))
    assert "use_dpop_nonce" in reply.challenge, reply
    nonce = reply.headers.get("dpop-nonce")
    assert nonce is not None, reply
    return token, nonce


def _proved(token: str, *proofs: str) -> Headers:
    return (("Authorization", f"DPoP {token}"), *(("DPoP", one) for one in proofs))


def resuming(version: ssl.TLSVersion) -> Callable[[Stand], list[str]]:
    """Return a case in which a session is offered again: no server takes it, and the holder is admitted."""

    def run(stand: Stand) -> list[str]:
        replies = stand.ask_twice(holder(stand), version)
        assert [reply.is_resumed for reply in replies] == [False, False]
        return [judged(stand, reply) for reply in replies]

    return run


def stolen_session(version: ssl.TLSVersion) -> Callable[[Stand], list[str]]:
    """Return a case in which a thief, with its own certificate, resumes a session that the holder began."""

    def run(stand: Stand) -> list[str]:
        first, second = stand.ask_twice(holder(stand), version, stand.world.holders["thief"])
        assert judged(stand, first) == "200"
        assert second.seen is None
        return [second.outcome]

    return run


CUT = REFUSED | {"cut off"}
"""The products that end an HTTP/2 stream in the place of an answer."""

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
    Case("resuming, TLS 1.2", resuming(ssl.TLSVersion.TLSv1_2), LET_IN),
    Case("resuming, TLS 1.3", resuming(ssl.TLSVersion.TLSv1_3), LET_IN),
    Case("HTTP/2", over_http2, LET_IN),
    Case("metadata", metadata, LET_IN, {"envoy": LET_IN | {"403"}}),
    Case("with a body", with_a_body, LET_IN),
    Case("with a query", with_a_query, LET_IN),
    Case("longest token", with_the_longest_token, LET_IN),
    Case("discharges", with_discharges, LET_IN),
    Case("repeated discharges", with_repeated_discharges, LET_IN, {"nginx": frozenset({"200", "401"})}),
    Case("without a discharge", without_a_discharge, frozenset({"401"})),
    Case("DPoP proof", with_a_proof, LET_IN),
    Case("DPoP proof of another request", with_another_proof, frozenset({"401"})),
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
    Case(
        "spoof: principal",
        principal,
        LET_IN,
        {"envoy": LET_IN | {"400", "cut off"}, "apache": LET_IN | {"400"}},
    ),
    Case("spoof: public path", public, LET_IN),
    Case("other paths", other_paths, REFUSED | {"404", "301", "308", "cut off"}),
    Case("stolen session, TLS 1.2", stolen_session(ssl.TLSVersion.TLSv1_2), frozenset({"401"})),
    Case("stolen session, TLS 1.3", stolen_session(ssl.TLSVersion.TLSv1_3), frozenset({"401"})),
    Case("plain HTTP", in_the_clear, frozenset({"403"})),
    Case("around the proxy", around, REFUSED),
)
