"""The core beside pymacaroons: a bound token with four caveats, verified offline.

Every token of the pool has its own jti, exp and certificate, and our cache of caveats is emptied
before each round: each token is seen for the first time. The token that comes again is shown apart.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pymacaroons
from msgspec.structs import replace
from pymacaroons.macaroon import MACAROON_V2
from timing import Case

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.attenuation import Attenuable, attenuable
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    Expiry,
    Scope,
    caveat_text,
    confirmation,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, identifier_text
from macaroon_cbat.macaroon.keys import RootKey, audience_keys
from macaroon_cbat.macaroon.known_chains import KnownChains
from macaroon_cbat.macaroon.minting import attenuate, mint
from macaroon_cbat.macaroon.narrowing import remembered_limit
from macaroon_cbat.macaroon.signature import verify_signature
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon

POOL = 400
NOW = EpochSeconds(1_767_222_000)
ISSUER, API = "https://localhost:8443", "https://api.example"
KEYS = audience_keys(ISSUER, API, [RootKey("2026-01", bytes(range(32)))])
KEY = KEYS.keys["2026-01"]
deserialize = pymacaroons.Macaroon.deserialize


def grant(number: int) -> Grant:
    """Return what the service grants to one client."""
    return Grant(
        aud=API,
        client_id="billing",
        exp=NOW + 600,
        iat=NOW,
        jti=f"{number:022}",
        kid=KEY.kid,
        scope="read write",
        sub="billing",
    )


def access(number: int) -> Access:
    """Return a request over a connection with the client's own certificate."""
    certificate = thumbprint_of(DerCertificate(number.to_bytes(4, "big")))
    return Access(now=NOW, audience=API, certificate=certificate)


def caveats(number: int) -> list[Caveat]:
    """Return what the holder appends just in time."""
    bound = confirmation(thumbprint_of(DerCertificate(number.to_bytes(4, "big"))))
    return [bound, Expiry(NOW + 60 + number), Audience(API), Scope("read")]


def always_true(text: str, _access: Access) -> bool:
    """Verify with pymacaroons at its least: every caveat is satisfied by one callback."""
    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(lambda _caveat: True)
    return verifier.verify(deserialize(text), KEY.secret)


def judging(text: str, access: Access) -> set[str]:
    """Verify with pymacaroons and judge as we do: each caveat by json.loads, scopes intersected."""
    macaroon = deserialize(text)
    claims = json.loads(macaroon.identifier)
    scopes = [set(claims["scope"].split())]

    def met(caveat: str) -> bool:
        ((name, value),) = json.loads(caveat).items()
        if name == "scope":
            scopes.append(set(value.split()))
        return (
            name == "scope"
            or (name == "exp" and access.now < value)
            or (name == "aud" and access.audience == value)
            or (name == "cnf" and value == {"x5t#S256": access.certificate})
        )

    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(met)
    verifier.verify(macaroon, KEY.secret)
    if access.now >= claims["exp"] or access.audience != claims["aud"]:
        raise ValueError("expired or misdirected")
    return set.intersection(*scopes)


def pymacaroons_mint(grant: Grant) -> str:
    """Mint as `mint` does, with pymacaroons alone."""
    identifier = identifier_text(grant)
    macaroon = pymacaroons.Macaroon(
        location=ISSUER, identifier=identifier, key=KEY.secret, version=MACAROON_V2
    )
    return macaroon.serialize()


def pymacaroons_attenuate(text: str, texts: list[str]) -> str:
    """Append caveat texts with pymacaroons alone."""
    macaroon = deserialize(text)
    for caveat in texts:
        macaroon.add_first_party_caveat(caveat)
    return macaroon.serialize()


def refused(function: Callable[..., object], *kinds: type[Exception]) -> Callable[..., None]:
    """Return the function, made silent about being refused."""

    def call(*arguments: object) -> None:
        with suppress(*kinds):
            function(*arguments)

    return call


def cases() -> list[Case]:
    """Return what is timed, yardsticks first."""
    return [*verifying(), *parts(), *refusing(), *writing()]


def verifying() -> list[Case]:
    """Text in, principal out."""
    pool = [(mint(KEY, ISSUER, grant(n), caveats(n)), access(n)) for n in range(POOL)]
    ours = [(text, KEYS, facts) for text, facts in pool]
    yardsticks = ("pymacaroons verify, always true", "pymacaroons verify, judging")
    return [
        Case(yardsticks[0], always_true, pool),
        Case(yardsticks[1], judging, pool),
        Case("verify, each token new", verify, ours, yardsticks, forget),
        Case("verify, same token again", verify, ours[:1] * POOL, yardsticks),
    ]


def verifying_as_guards_do(pool: list[tuple[str, Access]], beside: tuple[str, ...]) -> list[Case]:
    """Return the ways in which tokens come to a guard, which remembers the chains that it has verified."""
    ours = [(text, KEYS, facts) for text, facts in pool]
    parent = mint(KEY, ISSUER, grant(POOL))
    children = [(attenuate(parent, caveats(n)), KEYS, access(n)) for n in range(POOL)]
    first = attenuate(parent, caveats(POOL)), KEYS, access(POOL)
    fresh, reading, repeating = _Memory(), _Memory((first,)), KnownChains()
    return [
        Case("verify, each token new", verify, ours, beside, forget),
        Case("verify in a guard, each token new", partial(verify, known=fresh), ours, beside, fresh.renew),
        Case(
            "verify in a guard, each a new child of one token",
            partial(verify, known=reading),
            children,
            beside,
            reading.renew,
        ),
        Case("verify in a guard, the same tokens again", partial(verify, known=repeating), ours, beside),
    ]


class _Memory(KnownChains):
    """The memory of a guard that has started anew and has seen these requests alone."""

    def __init__(self, seen: tuple[tuple[Any, ...], ...] = ()) -> None:
        super().__init__()
        self._seen_before = seen

    def renew(self) -> None:
        """Start anew."""
        forget()
        super().__init__()
        for request in self._seen_before:
            verify(*request, known=self)


def forget() -> None:
    """Empty the caches of caveats, so that each is read for the first time."""
    remembered_caveats.cache_clear()
    remembered_limit.cache_clear()


def children() -> list[Case]:
    """Return what a child costs beside pymacaroons, which reads the token and writes the child each time."""
    pool = [(mint(KEY, ISSUER, grant(n)), caveats(n)) for n in range(POOL)]
    texts = [(text, [caveat_text(c).decode() for c in appended]) for text, appended in pool]
    known, _ = attenuable(pool[0][0])
    two = [(text, appended[:2]) for text, appended in texts]
    just_in_time = [(known, [one.encode() for one in appended]) for _, appended in two]
    theirs = ("pymacaroons, child with 2 caveats", "pymacaroons, child with 4 caveats")
    return [
        Case(theirs[0], pymacaroons_attenuate, two),
        Case("child with 2 caveats", attenuate, [(text, typed[:2]) for text, typed in pool], theirs[:1]),
        Case("child with 2 caveats of a known token", Attenuable.child, just_in_time, theirs[:1]),
        Case(theirs[1], pymacaroons_attenuate, texts),
        Case("child with 4 caveats", attenuate, pool, theirs[1:]),
    ]


def parts() -> list[Case]:
    """Return the steps of verifying by themselves."""
    texts = [(mint(KEY, ISSUER, grant(n), caveats(n)),) for n in range(POOL)]
    macaroons = [(read_macaroon(text), KEY) for (text,) in texts]
    return [
        Case("pymacaroons deserialize", deserialize, texts),
        Case("read_macaroon", read_macaroon, texts, ("pymacaroons deserialize",)),
        Case("verify_signature", verify_signature, macaroons),
    ]


def refusing() -> list[Case]:
    """Return what it costs to say no."""
    long = [("A" * 9000,)] * POOL
    pool = [
        (mint(replace(KEY, secret=bytes(32)), ISSUER, grant(n), caveats(n)), access(n)) for n in range(POOL)
    ]
    ours = [(text, KEYS, facts) for text, facts in pool]
    theirs = ("pymacaroons refuse 9,000 characters", "pymacaroons refuse a wrong signature")
    return [
        Case(theirs[0], refused(deserialize, Exception), long),
        Case("refuse 9,000 characters", refused(read_macaroon, InvalidToken), long, theirs[:1]),
        Case(theirs[1], refused(always_true, Exception), pool),
        Case("refuse a wrong signature", refused(verify, InvalidToken), ours, theirs[1:]),
    ]


def writing() -> list[Case]:
    """Return what minting costs above pymacaroons, which does it, and attenuating beside it."""
    pool = [(mint(KEY, ISSUER, grant(n)), caveats(n)) for n in range(POOL)]
    plain = [(text, [caveat_text(c).decode() for c in appended]) for text, appended in pool]
    return [
        Case("pymacaroons mint", pymacaroons_mint, [(grant(n),) for n in range(POOL)]),
        Case("mint", mint, [(KEY, ISSUER, grant(n)) for n in range(POOL)], ("pymacaroons mint",)),
        Case("pymacaroons attenuate by 4", pymacaroons_attenuate, plain),
        Case("attenuate by 4", attenuate, pool, ("pymacaroons attenuate by 4",)),
    ]
