"""The generated vectors: one honest token and what attackers, and mistaken holders, make of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import asdict
from nacl.secret import SecretBox

from macaroon_cbat.macaroon.caveats import (
    Audience,
    Caveat,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    caveat_text,
    confirmation,
)
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.tokens import (
    API,
    BOUND,
    CERTIFICATE,
    NOW,
    OTHER_API,
    OTHER_CERTIFICATE,
    ROOT,
    digest,
    grant,
    signed,
    spell,
    to_binary,
)


@dataclass(frozen=True, slots=True)
class Case:
    """One token, presented once."""

    comment: str
    text: str
    expect: str
    access: dict[str, object] = field(default_factory=dict)
    discharges: Sequence[str] = ()
    revoked: Sequence[str] = ()
    require_certificate: bool = True


CNF = caveat_text(BOUND)
THIEF = caveat_text(confirmation(OTHER_CERTIFICATE))
SOON = caveat_text(Expiry(NOW + 60))
READ = caveat_text(Scope("read"))
HONEST = signed(CNF, SOON, READ)
PARSED = read_macaroon(HONEST)
BINARY = to_binary(HONEST)


def judged(expect: str, comment: str, caveats: Sequence[Caveat], **access: object) -> Case:
    """Return the case of a bound token with further caveats."""
    return Case(comment, signed(CNF, *map(caveat_text, caveats)), expect, access)


def respelled(**changes: object) -> str:
    """Return the honest macaroon with fields changed and the signature left as it was."""
    return spell(Macaroon(**asdict(PARSED) | changes))


def by_key(secret: bytes) -> str:
    """Return the honest macaroon as a service with this key would mint it."""
    return signed(CNF, SOON, READ, secret=secret)


def with_third_party(*first_party: bytes) -> tuple[Macaroon, bytes]:
    """Return a macaroon that asks for the discharge "x", and that discharge's derived key."""
    before = read_macaroon(signed(*first_party))
    caveat_key = digest(b"macaroons-key-generator", b"k" * 32)
    vid = bytes(SecretBox(before.signature).encrypt(caveat_key, nonce=bytes(24)))
    after = digest(before.signature, digest(before.signature, vid) + digest(before.signature, b"x"))
    asking = ThirdPartyCaveat(b"https://third.example", b"x", vid)
    return Macaroon(before.location, before.identifier, (*before.caveats, asking), after), caveat_key


def discharge(key: bytes, texts: Sequence[bytes], root: Macaroon | None) -> str:
    """Return the discharge "x" with these caveats, bound to the root macaroon if there is one."""
    signature = digest(key, b"x")
    for text in texts:
        signature = digest(signature, text)
    if root is not None:
        zero = bytes(32)
        signature = digest(zero, digest(zero, root.signature) + digest(zero, signature))
    return spell(Macaroon(None, b"x", tuple(texts), signature))


ASKING, ASKED_KEY = with_third_party(CNF)
OTHER_ASKING, _ = with_third_party(CNF, READ)

ACCEPTED = {
    "bound": Case("a bound token over the connection it is bound to", HONEST, "accepted"),
    "aud-spelled-otherwise": judged(
        "accepted", "the same audience (RFC 3986 6.2.3)", [Audience("https://API.example:443/")]
    ),
    "every-caveat": judged(
        "accepted",
        "every kind of caveat, each met",
        [
            Scope("read write"),
            Expiry(NOW + 60),
            NotBefore(NOW),
            Audience((OTHER_API, API)),
            Method(("GET", "HEAD")),
            TargetUri("https://API.example:443/invoices/7"),
            PathPrefix("/invoices"),
            ClientAddress("192.0.2.0/24"),
        ],
    ),
    "two-equal-cnf": Case("the same certificate twice is one", signed(CNF, CNF), "accepted"),
    "scope-wider-than-granted": judged("accepted", "a caveat asserts nothing", [Scope("read root")]),
    "exp-later-than-granted": judged("accepted", "a caveat prolongs nothing", [Expiry(NOW + 9000)]),
    "other-location": Case(
        "the location is a hint that the MAC does not cover",
        respelled(location=b"https://evil.example"),
        "accepted",
    ),
    "no-location": Case("a macaroon needs no location", respelled(location=None), "accepted"),
    "unbound-where-allowed": Case(
        "require_certificate=False is written down", signed(READ), "accepted", require_certificate=False
    ),
    "mapped-address": judged(
        "accepted", "IPv4 in IPv6 clothes", [ClientAddress("192.0.2.0/24")], address="::ffff:192.0.2.7"
    ),
    "discharged": Case(
        "a third-party caveat with its bound discharge, which narrows",
        spell(ASKING),
        "accepted",
        discharges=[discharge(ASKED_KEY, [READ], ASKING)],
    ),
}

FAIL_OPEN = {
    "without-cnf": Case("PingGateway and Spring let it through", signed(READ), "NotCertificateBound"),
    "without-cnf-and-certificate": Case(
        "no binding, no certificate", signed(READ), "NotCertificateBound", {"certificate": None}
    ),
    "cnf-empty": Case("Spring lets it through", signed(b'{"cnf":{}}'), "CaveatsNotMet"),
    "cnf-without-x5t": Case(
        "liboauth2 optional lets it through", signed(b'{"cnf":{"jkt":"abc"}}'), "CaveatsNotMet"
    ),
    "cnf-with-unknown-member": Case(
        "a second confirmation that no verifier checks", signed(CNF[:-2] + b',"jkt":"abc"}}'), "CaveatsNotMet"
    ),
    "cnf-null": Case("no object at all", signed(b'{"cnf":null}'), "CaveatsNotMet"),
    "thumbprint-other-case": Case(
        "Duende's sample compares without case",
        signed(caveat_text(confirmation(CERTIFICATE.swapcase()))),
        "CaveatsNotMet",
    ),
    "thumbprint-padded": Case("43 characters, unpadded", signed(CNF[:-3] + b'="}}'), "CaveatsNotMet"),
    "thumbprint-hex": Case(
        "hex is no thumbprint", signed(b'{"cnf":{"x5t#S256":"' + b"ab" * 32 + b'"}}'), "CaveatsNotMet"
    ),
    "stolen-no-certificate": Case(
        "stolen, presented without certificate", HONEST, "CaveatsNotMet", {"certificate": None}
    ),
    "stolen-other-certificate": Case(
        "stolen, presented with the thief's certificate",
        HONEST,
        "CaveatsNotMet",
        {"certificate": OTHER_CERTIFICATE},
    ),
    "second-cnf": Case("PingAM ignores the second", signed(CNF, THIEF), "CaveatsNotMet"),
    "second-cnf-of-the-thief": Case(
        "the thief appends his own", signed(CNF, THIEF), "CaveatsNotMet", {"certificate": OTHER_CERTIFICATE}
    ),
}

FORGED = {
    "unsigned-caveat": Case(
        "pymacaroons verifies this, because it is not satisfied and pymacaroons leaves it out of the chain",
        respelled(caveats=(*PARSED.caveats, b'{"scope":"admin"}')),
        "SignatureMismatch",
    ),
    "tampered-caveat": Case(
        "a later exp", respelled(caveats=(CNF, caveat_text(Expiry(NOW + 90)), READ)), "SignatureMismatch"
    ),
    "tampered-cnf": Case("bound to the thief", respelled(caveats=(THIEF, SOON, READ)), "SignatureMismatch"),
    "removed-last-caveat": Case("the scope is gone", respelled(caveats=(CNF, SOON)), "SignatureMismatch"),
    "removed-first-caveat": Case("the cnf is gone", respelled(caveats=(SOON, READ)), "SignatureMismatch"),
    "removed-every-caveat": Case("nothing is left", respelled(caveats=()), "SignatureMismatch"),
    "reordered-caveats": Case(
        "the same, in another order", respelled(caveats=(SOON, CNF, READ)), "SignatureMismatch"
    ),
    "tampered-identifier": Case(
        "another subject", respelled(identifier=identifier_text(grant(sub="root"))), "SignatureMismatch"
    ),
    "no-signature": Case("a signature of zeros", respelled(signature=bytes(32)), "SignatureMismatch"),
    "refresh-key": Case(
        "minted with the refresh key", by_key(audience_key(ROOT, API, "refresh").secret), "SignatureMismatch"
    ),
    "discharge-key": Case(
        "minted with the discharge key",
        by_key(audience_key(ROOT, API, "discharge").secret),
        "SignatureMismatch",
    ),
    "issuer-key": Case(
        "minted with the issuer's own key", by_key(audience_key(ROOT, None).secret), "SignatureMismatch"
    ),
    "other-audience-key": Case(
        "minted by another resource server", by_key(audience_key(ROOT, OTHER_API).secret), "SignatureMismatch"
    ),
    "other-root-key": Case(
        "minted by another service",
        by_key(audience_key(RootKey("k1", b"r" * 32), API).secret),
        "SignatureMismatch",
    ),
    "empty-key": Case("minted with an empty key", by_key(b""), "SignatureMismatch"),
    "forged-and-expired": Case(
        "signature first, meaning second", by_key(b""), "SignatureMismatch", {"now": NOW + 10_000}
    ),
    "discharge-missing": Case("without its discharge", spell(ASKING), "NotDischarged"),
    "discharge-not-bound": Case(
        "a discharge that was never bound",
        spell(ASKING),
        "NotDischarged",
        discharges=[discharge(ASKED_KEY, [READ], None)],
    ),
    "discharge-of-another": Case(
        "bound to another macaroon",
        spell(ASKING),
        "NotDischarged",
        discharges=[discharge(ASKED_KEY, [], OTHER_ASKING)],
    ),
    "discharge-of-another-key": Case(
        "minted with another key",
        spell(ASKING),
        "NotDischarged",
        discharges=[discharge(b"j" * 32, [], ASKING)],
    ),
    "discharge-not-asked-for": Case(
        "one too many", HONEST, "NotDischarged", discharges=[discharge(ASKED_KEY, [], PARSED)]
    ),
}
