"""The generated vectors, continued: spellings, meanings and identifiers that are refused."""

from macaroon_cbat.macaroon.caveats import (
    Audience,
    ClientAddress,
    Expiry,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
)
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.wire import Macaroon
from tests.support.tokens import (
    API,
    GRANT,
    ISSUER,
    NOW,
    OTHER_API,
    grant,
    packet,
    signed,
    spell,
    to_text,
)
from tests.vectors.cases import ACCEPTED, BINARY, CNF, FAIL_OPEN, FORGED, HONEST, PARSED, Case, judged
from tests.vectors.spelled_cases import SPELLED, TWO_READINGS

LONG_FORM = BINARY.replace(packet(2, PARSED.caveats[1]), b"\2\x92\0" + PARSED.caveats[1])
PLUS = signed(CNF, '{"path":"/ÿÿþ"}'.encode()).replace("-", "+").replace("_", "/")
LAST = HONEST[-1]
SPARE = HONEST[:-1] + chr(ord(LAST) + 1)
UNPADDED = HONEST + "=" * (-len(HONEST) % 4 or 4)

MISSPELLED = {
    "padding": Case("base64 with padding", UNPADDED, "MalformedMacaroon"),
    "trailing-byte": Case("a byte after the signature", to_text(BINARY + b"\0"), "MalformedMacaroon"),
    "trailing-macaroon": Case("two macaroons in one", to_text(BINARY * 2), "MalformedMacaroon"),
    "truncated": Case("the last byte is missing", to_text(BINARY[:-1]), "MalformedMacaroon"),
    "newline": Case("a newline that lax decoders drop", HONEST + "\n", "MalformedMacaroon"),
    "stray-character": Case(
        "a dot that lax decoders drop", HONEST[:9] + "." + HONEST[9:], "MalformedMacaroon"
    ),
    "standard-alphabet": Case("plus and slash", PLUS, "MalformedMacaroon"),
    "spare-bits": Case("bits that carry nothing are not zero", SPARE, "MalformedMacaroon"),
    "long-form-length": Case("a length in more bytes than it takes", to_text(LONG_FORM), "MalformedMacaroon"),
    "version-1": Case("a packet macaroon of version 1", to_text(b"0019location here\n"), "MalformedMacaroon"),
    "version-2-json": Case("a JSON macaroon", '{"v":2,"i":"x","s64":""}', "MalformedMacaroon"),
    "empty": Case("no text", "", "MalformedMacaroon"),
    "101-caveats": Case(
        "one caveat too many",
        spell(Macaroon(None, PARSED.identifier, (b"{}",) * 101, bytes(32))),
        "MalformedMacaroon",
    ),
    "9000-characters": Case("too long, whatever it says", "A" * 9000, "MalformedMacaroon"),
}


def noise(comment: str, text: bytes) -> Case:
    return Case(comment, signed(CNF, text), "CaveatsNotMet")


NOT_UNDERSTOOD = {
    "caveat-unknown": noise("a restriction of unknown meaning", b'{"role":"clerk"}'),
    "caveat-not-json": noise("a caveat of another service", b"time < 2030-01-01T00:00"),
    "caveat-repeated-key": noise("which of the two counts?", b'{"exp":1,"exp":1767229999}'),
    "caveat-wrong-type": noise("a number as a string", b'{"exp":"1767229999"}'),
    "caveat-not-utf8": noise("not text", b'{"aud":"\xff"}'),
    "caveat-empty": noise("no text", b""),
    "caveat-netmask": noise("one host to some, all to others", b'{"ip":"0.0.0.0/0.0.0.0"}'),
}


def refused(comment: str, *caveats: object, **access: object) -> Case:
    return judged("CaveatsNotMet", comment, caveats, **access)


NOT_MET = {
    "exp-passed": refused("at its very second", Expiry(NOW)),
    "exp-earliest-passed": refused("a later one after it changes nothing", Expiry(NOW), Expiry(NOW + 60)),
    "grant-expired": refused("ten minutes later", now=NOW + 600),
    "nbf-ahead": refused("a second too early", NotBefore(NOW + 1)),
    "aud-other": refused("for another resource server", Audience(OTHER_API)),
    "aud-look-alike": refused("two slashes are no slash", Audience(API + "//")),
    "aud-conflict": refused("two that have nothing in common", Audience(API), Audience(OTHER_API)),
    "aud-unknown": refused("the server does not say who it is", audience=None),
    "scope-nothing-left": refused("empty is never all", Scope("read"), Scope("write")),
    "scope-not-granted": refused("only what was never granted", Scope("root")),
    "htm-other": refused("a read used to write", Method("GET"), method="DELETE"),
    "htu-other": refused("another resource", TargetUri("https://api.example/invoices/8")),
    "path-beside": refused("a prefix that ends inside a segment", PathPrefix("/inv")),
    "path-traversal": refused("dots that lead out", PathPrefix("/invoices"), path="/invoices/../admin"),
    "path-unknown": refused("a path that is unknown", PathPrefix("/"), path=None),
    "ip-other": refused("from elsewhere", ClientAddress("198.51.100.0/24")),
    "revoked": Case("taken back", HONEST, "Revoked", revoked=[GRANT.jti]),
}


def identified(comment: str, expect: str, identifier: bytes) -> Case:
    return Case(comment, signed(CNF, identifier=identifier), expect)


IDENTIFIERS = {
    "kid-unknown": identified(
        "a key that the verifier lacks", "UnknownKey", identifier_text(grant(kid="k9"))
    ),
    "audience-other": identified("for another server", "UnknownKey", identifier_text(grant(aud=OTHER_API))),
    "audience-several": identified(
        "to be introspected", "UnknownKey", identifier_text(grant(aud=(API, ISSUER)))
    ),
    "identifier-foreign": identified(
        "of another service", "MalformedMacaroon", b"BD1IHha-I-SmUlNDCF81uPFisPU"
    ),
    "identifier-version-2": identified(
        "a later version may mean something else", "MalformedMacaroon", identifier_text(GRANT)[:-2] + b"2}"
    ),
    "identifier-unknown-member": identified(
        "a restriction of a later version", "MalformedMacaroon", identifier_text(GRANT)[:-1] + b',"x":1}'
    ),
    "identifier-repeated-key": identified(
        "which of the two counts?",
        "MalformedMacaroon",
        identifier_text(GRANT).replace(b',"v"', b',"sub":"root","v"'),
    ),
}

CASES = (
    ACCEPTED
    | SPELLED
    | FAIL_OPEN
    | FORGED
    | MISSPELLED
    | NOT_UNDERSTOOD
    | TWO_READINGS
    | NOT_MET
    | IDENTIFIERS
)
