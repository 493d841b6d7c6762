import msgspec
import pytest
from msgspec import UNSET

from macaroon_cbat.errors import (
    CaveatsNotMet,
    InsufficientScope,
    MalformedMacaroon,
    NotDischarged,
    Revoked,
    SignatureMismatch,
    UnknownKey,
)
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
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.signature import AuthenticCaveats
from macaroon_cbat.macaroon.verification import Principal, judge, require_scope, verify
from tests.support.tokens import (
    ACCESS,
    API,
    BOUND,
    CERTIFICATE,
    GRANT,
    KEYS,
    NOW,
    OTHER_API,
    OTHER_CERTIFICATE,
    ROOT,
    access,
    judged,
    signed,
    token,
    token_revocation,
)


def test_a_bound_token_gives_its_principal():
    """An accepted token gives who it was granted to, what it may do, until when, and its certificate."""
    assert judged(token(BOUND)) == Principal(
        client_id="billing",
        subject="alice",
        scope=frozenset({"read", "write", "admin"}),
        token_id=GRANT.jti,
        audience=API,
        issued_at=NOW,
        expires_at=NOW + 600,
        certificate=CERTIFICATE,
    )


@pytest.mark.parametrize(
    ("caveats", "is_attenuated"),
    [
        ((), False),
        ((BOUND,), False),
        ((BOUND, BOUND), True),
        ((Expiry(NOW + 60),), True),
        ((BOUND, Expiry(NOW + 60)), True),
    ],
)
@pytest.mark.parametrize("changes", [{}, {"aud": UNSET}], ids=["for one audience", "for the issuer"])
def test_a_principal_knows_whether_it_was_restricted(caveats, is_attenuated, changes):
    """A token with caveats beyond the one confirmation that the service may mint is attenuated."""
    grant = msgspec.structs.replace(GRANT, **changes)
    texts = AuthenticCaveats(tuple(caveat_text(caveat) for caveat in caveats))
    assert judge(grant, texts, access(), require_certificate=False).is_attenuated is is_attenuated


def test_every_kind_of_caveat_together():
    """A token with every kind of caveat is accepted where each of them holds."""
    caveats: list[Caveat] = [
        BOUND,
        Scope("read"),
        Expiry(NOW + 60),
        NotBefore(NOW),
        Audience((OTHER_API, API)),
        Method(("GET", "HEAD")),
        TargetUri("https://api.example/invoices/7"),
        PathPrefix("/invoices"),
        ClientAddress("192.0.2.0/24"),
    ]
    assert judged(token(*caveats)).scope == {"read"}


@pytest.mark.parametrize(
    ("caveats", "scope"),
    [
        ([], {"read", "write", "admin"}),
        ([Scope("read write")], {"read", "write"}),
        ([Scope("read write"), Scope("write admin")], {"write"}),
        ([Scope("read"), Scope("read")], {"read"}),
        ([Scope("read delete")], {"read"}),
    ],
    ids=["none", "one", "two", "the same twice", "more than granted"],
)
def test_scope_is_the_intersection(caveats, scope):
    """The scope is what the grant and every scope caveat have in common."""
    assert judged(token(BOUND, *caveats)).scope == scope


@pytest.mark.parametrize(
    "caveats",
    [[Scope("delete")], [Scope("read"), Scope("write")], [Scope("READ")]],
    ids=["not granted", "nothing in common", "another letter case"],
)
def test_an_empty_scope_is_refused(caveats):
    """A token whose scopes have nothing in common is refused: empty never means all."""
    with pytest.raises(CaveatsNotMet, match="leave nothing of the granted scope"):
        judged(token(BOUND, *caveats))


@pytest.mark.parametrize(
    ("caveats", "expires_at"),
    [
        ([], NOW + 600),
        ([Expiry(NOW + 60)], NOW + 60),
        ([Expiry(NOW + 60), Expiry(NOW + 30), Expiry(NOW + 90)], NOW + 30),
        ([Expiry(NOW + 6000)], NOW + 600),
    ],
    ids=["the grant's", "a caveat's", "the earliest", "never later than granted"],
)
def test_exp_is_the_minimum(caveats, expires_at):
    """A token expires with the earliest of its exps; a caveat never prolongs it."""
    text = token(BOUND, *caveats)
    assert judged(text).expires_at == expires_at
    assert judged(text, now=expires_at - 1)
    with pytest.raises(CaveatsNotMet, match=f"expired at {expires_at}"):
        judged(text, now=expires_at)


def test_aud_is_the_intersection():
    """Every aud caveat must name this resource server; one that does not refuses."""
    assert judged(token(BOUND, Audience(API), Audience((API, OTHER_API)))).audience == API
    for caveats in ([Audience(OTHER_API)], [Audience(API), Audience(OTHER_API)]):
        with pytest.raises(CaveatsNotMet, match="meant for audience"):
            judged(token(BOUND, *caveats))


def test_the_grants_own_audience_counts():
    """The audience of the grant is checked like an aud caveat, even where its key is at hand."""
    for audience in (OTHER_API, None):
        with pytest.raises(CaveatsNotMet, match="meant for audience"):
            judged(token(BOUND), audience=audience)


UNKNOWN = {
    "an unknown caveat": b'{"role":"admin"}',
    "two members, the second unknown": b'{"exp":9007199254740991,"role":"admin"}',
    "a repeated key": b'{"exp":1,"exp":9007199254740991}',
    "an unknown cnf member": b'{"cnf":{"jkt":"x"}}',
    "not JSON": b"time < 2030",
    "empty": b"",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_an_authentic_unknown_caveat_refuses(text):
    """An authentic caveat that this version does not know refuses: unknown means no."""
    for texts in ([caveat_text(BOUND), text], [text, caveat_text(BOUND)]):
        with pytest.raises(CaveatsNotMet, match="caveat"):
            judged(signed(*texts))


def test_every_reason_is_named():
    """A refusal lists every caveat that is not met, not just the first."""
    text = signed(b"nonsense", caveat_text(Expiry(NOW)), caveat_text(BOUND), caveat_text(Method("PUT")))
    with pytest.raises(CaveatsNotMet) as refusal:
        judged(text, certificate=None)
    assert len(refusal.value.unmet) == 4
    assert str(refusal.value) == "; ".join(refusal.value.unmet)


def test_the_signature_comes_first():
    """No caveat is judged before the chain holds: a forged token is a SignatureMismatch, whatever it says."""
    for text in (signed(b"nonsense", secret=b"k" * 32), token(Expiry(0), key=audience_key(ROOT, OTHER_API))):
        with pytest.raises(SignatureMismatch):
            judged(text)


def test_a_foreign_identifier_is_malformed():
    """An authentic macaroon whose identifier this service did not write is malformed."""
    with pytest.raises(MalformedMacaroon, match="identifier"):
        judged(signed(caveat_text(BOUND), identifier=b"user=alice"))


def test_an_unknown_key_is_its_own_error():
    """A token for another audience, or none, or of an unknown key is an UnknownKey."""
    for changes in ({"kid": "k9"}, {"aud": OTHER_API}, {"aud": UNSET}, {"aud": (API,)}):
        with pytest.raises(UnknownKey):
            judged(token(BOUND, **changes))


def test_a_revoked_token_is_refused():
    """A token whose jti is revoked is refused, and so are its children; a forged one is just forged."""
    revocations = Revocations([token_revocation(GRANT.jti)])
    for text in (token(BOUND), token(BOUND, Scope("read"))):
        with pytest.raises(Revoked, match=GRANT.jti):
            verify(text, KEYS, ACCESS, revocations=revocations)
    assert verify(token(BOUND, jti="B" * 22), KEYS, ACCESS, revocations=revocations)
    with pytest.raises(SignatureMismatch):
        verify(signed(secret=b"k" * 32), KEYS, ACCESS, revocations=revocations)


def test_the_caveats_of_a_discharge_count():
    """A discharge narrows like the macaroon itself: its scope, its exp, its cnf."""
    root = add_third_party_caveat(token(BOUND), "there", b"k" * 32, b"x")

    def with_discharge(*caveats: Caveat, **changes: object) -> Principal:
        discharge = bind_discharge(root, mint_discharge("there", b"k" * 32, b"x", caveats))
        return verify(root, KEYS, access(**changes), discharges=[discharge])

    principal = with_discharge(Scope("read"), Expiry(NOW + 5))
    assert (principal.scope, principal.expires_at) == ({"read"}, NOW + 5)
    for caveat in (confirmation(OTHER_CERTIFICATE), Expiry(NOW), Scope("delete")):
        with pytest.raises(CaveatsNotMet):
            with_discharge(caveat)
    with pytest.raises(MalformedMacaroon, match="more than 16"):
        verify(root, KEYS, ACCESS, discharges=["x"] * 17)
    with pytest.raises(NotDischarged):
        verify(root, KEYS, ACCESS)


@pytest.mark.parametrize("scope", ["read", "write read", "read write admin"])
def test_a_principal_with_the_scope_passes(scope):
    """A principal that has every required scope passes."""
    require_scope(judged(token(BOUND)), scope)


@pytest.mark.parametrize("scope", ["delete", "read delete", "rea", "READ"])
def test_a_principal_without_the_scope_is_insufficient(scope):
    """A principal that lacks one of the required scopes is refused with insufficient_scope."""
    with pytest.raises(InsufficientScope, match="requires scope") as refusal:
        require_scope(judged(token(BOUND)), scope)
    assert refusal.value.scope == scope
