from typing import get_args

import msgspec
import pytest

from macaroon_cbat.audit.event import AuditEvent
from macaroon_cbat.errors import InvalidToken, Revoked
from macaroon_cbat.macaroon.caveats import Expiry, Scope
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.revocation import (
    KEPT_LONGER_SECONDS,
    KINDS,
    Revocation,
    RevocationKind,
    RevocationRow,
    Revocations,
    row_of,
)
from macaroon_cbat.macaroon.verification import verify
from tests.support.tokens import (
    ACCESS,
    BOUND,
    CERTIFICATE,
    GRANT,
    KEYS,
    NOW,
    OTHER_CERTIFICATE,
    access,
    grant,
    token,
    token_revocation,
)


def test_nothing_is_revoked_by_default():
    """Without revocations, no grant is revoked."""
    assert Revocations().reason(GRANT, None) is None


def test_a_revoked_jti_is_named():
    """A grant whose jti is on the list is revoked, and the reason names it; its neighbours are not."""
    revocations = Revocations([token_revocation(GRANT.jti), token_revocation("x" * 22)])
    assert GRANT.jti in revocations.reason(GRANT, None)
    assert revocations.reason(grant(jti="y" * 22), None) is None
    assert revocations.reason(grant(jti=GRANT.jti.swapcase()), None) is None


def decided(kind: str, value: str, revoked_at: int = NOW, expires_at: int = NOW + 86_400) -> Revocation:
    return Revocation(kind=kind, value=value, revoked_at=revoked_at, expires_at=expires_at)


@pytest.mark.parametrize(
    ("kind", "value", "revoked", "others"),
    [
        pytest.param("token", GRANT.jti, {}, {"jti": "B" * 22}, id="token"),
        pytest.param("client", "billing", {}, {"client_id": "payroll"}, id="client"),
        pytest.param("subject", "alice", {}, {"sub": "bob"}, id="subject"),
        pytest.param("key", "k1", {}, {"kid": "k2"}, id="key"),
        pytest.param("family", "f1", {"fam": "f1"}, {"fam": "f2"}, id="family"),
        pytest.param("family", "f1", {"fam": "f1"}, {}, id="family, of a grant without one"),
    ],
)
def test_a_kind_concerns_its_own_name(kind, value, revoked, others):
    """A revocation of a kind refuses the grants that have this name in its place, and no others."""
    revocations = Revocations([decided(kind, value)])
    for certificate in (CERTIFICATE, None):
        assert value in revocations.reason(grant(**revoked), certificate)
        assert revocations.reason(grant(**others), certificate) is None


@pytest.mark.parametrize("kind", ["token", "client", "subject", "family", "key", "certificate"])
def test_a_name_of_another_kind_is_not_revoked(kind):
    """One name revoked as one kind says nothing about the same name as another kind."""
    members = {"jti": "x", "client_id": "x", "sub": "x", "fam": "x", "kid": "x"}
    member = {"token": "jti", "client": "client_id", "subject": "sub", "family": "fam", "key": "kid"}
    revocations = Revocations([decided(kind, "x")])
    others = {name: "other" if name == member.get(kind) else "x" for name in members}
    assert revocations.reason(grant(**others), None) is None
    assert (revocations.reason(grant(**members), None) is None) == (kind == "certificate")


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_later_tokens_live(kind):
    """A client or subject loses the tokens issued up to the moment of revocation; later ones live."""
    revocations = Revocations([decided(kind, "x", revoked_at=NOW)])
    for issued_at, is_refused in ((NOW - 600, True), (NOW, True), (NOW + 1, False), (NOW + 600, False)):
        asked = grant(client_id="x", sub="x", iat=issued_at, exp=issued_at + 600)
        assert (revocations.reason(asked, None) is not None) == is_refused


@pytest.mark.parametrize("order", [1, -1], ids=["in order", "backwards"])
@pytest.mark.parametrize("kind", ["client", "subject"])
def test_the_later_of_two_decisions_counts(kind, order):
    """Of two revocations of a client or subject the later one counts, in whichever order they arrive."""
    decisions = [decided(kind, "x", NOW, NOW + 100), decided(kind, "x", NOW + 50, NOW + 150)]
    revocations = Revocations(decisions[::order])
    assert revocations.reason(grant(client_id="x", sub="x", iat=NOW + 50), None)
    revocations.forget(EpochSeconds(NOW + 149 + KEPT_LONGER_SECONDS))
    assert len(revocations) == 1


def test_a_revoked_certificate_lets_nothing_pass():
    """No token, bound or not, passes over a connection with a revoked certificate; the token itself lives."""
    revocations = Revocations([decided("certificate", CERTIFICATE)])
    assert CERTIFICATE in revocations.reason(GRANT, CERTIFICATE)
    assert revocations.reason(GRANT, OTHER_CERTIFICATE) is None
    assert revocations.reason(GRANT, None) is None
    for text in (token(BOUND), token()):
        with pytest.raises(Revoked, match="certificate"):
            verify(text, KEYS, ACCESS, require_certificate=False, revocations=revocations)


def test_every_child_is_revoked_with_its_token():
    """A decision that revokes a token revokes each child of it, however it was narrowed."""
    for decision in (decided("token", GRANT.jti), decided("client", "billing"), decided("key", "k1")):
        revocations = Revocations([decision])
        for caveats in ((), (Scope("read"),), (Scope("read"), Expiry(NOW + 30))):
            with pytest.raises(Revoked):
                verify(attenuate(token(BOUND), caveats), KEYS, ACCESS, revocations=revocations)


def test_what_has_expired_is_forgotten():
    """`forget` drops what can concern no token any more, of every kind, and keeps the rest."""
    kinds = ("token", "client", "subject", "family", "key", "certificate")
    revocations = Revocations()
    for kind in kinds:
        revocations.apply(decided(kind, "over", expires_at=NOW + 10))
        revocations.apply(decided(kind, "alive", expires_at=NOW + 11))
    assert len(revocations) == 12
    revocations.forget(EpochSeconds(NOW + 9 + KEPT_LONGER_SECONDS))
    assert len(revocations) == 12
    revocations.forget(EpochSeconds(NOW + 10 + KEPT_LONGER_SECONDS))
    assert len(revocations) == 6
    assert revocations.reason(grant(kid="alive"), None)
    assert revocations.reason(grant(kid="over"), None) is None


@pytest.mark.parametrize("set_back", [0, 1, 299, LONGEST_CLOCK_SKEW])
@pytest.mark.parametrize(
    "seconds", [*range(LONGEST_CLOCK_SKEW - 1, LONGEST_CLOCK_SKEW + 3), 599, 600, 601, 660]
)
def test_what_is_forgotten_is_no_longer_taken(seconds, set_back):
    """With the greatest clock skew, on a clock that is set back by as much, no revoked token passes again."""
    revocations = Revocations([decided("token", GRANT.jti, expires_at=GRANT.exp + LONGEST_CLOCK_SKEW)])
    forgotten_at = GRANT.exp + seconds
    revocations.forget(EpochSeconds(forgotten_at))
    then = access(now=forgotten_at - set_back, clock_skew=LONGEST_CLOCK_SKEW)
    with pytest.raises(InvalidToken):
        verify(token(BOUND), KEYS, then, revocations=revocations)


def test_the_last_second_needs_the_revocation():
    """A second before its tolerance ends a token passes unless it is revoked: the margin is no luxury."""
    then = access(now=GRANT.exp + LONGEST_CLOCK_SKEW - 1, clock_skew=LONGEST_CLOCK_SKEW)
    assert verify(token(BOUND), KEYS, then).client_id == "billing"


@pytest.mark.parametrize("kind", ["token", "client", "subject", "family", "key", "certificate"])
def test_applying_again_changes_nothing(kind):
    """A decision that arrives twice counts once; of two the longer one is kept."""
    long, short = decided(kind, "x"), decided(kind, "x", expires_at=NOW + 1)
    revocations = Revocations([long, long, short])
    assert len(revocations) == 1
    revocations.forget(EpochSeconds(NOW + 1 + KEPT_LONGER_SECONDS))
    assert len(revocations) == 1


def test_revocations_print_their_number_only():
    """A million revocations print as their number."""
    assert repr(Revocations([decided("subject", "alice")])) == "<Revocations: 1>"


def test_every_kind_is_in_the_table():
    """The table of kinds has every kind, and names members that grants and audit events have."""
    assert tuple(KINDS) == get_args(RevocationKind)
    assert {meaning.claim for meaning in KINDS.values()} - {None} <= set(Grant.__struct_fields__)
    assert {meaning.audited_as for meaning in KINDS.values()} <= set(AuditEvent.__struct_fields__)


def test_a_row_is_spelled_as_four_values():
    """Feed and snapshot spell a revocation as kind, value, revoked_at and expires_at, in this order."""
    decision = Revocation(kind="token", value="t", revoked_at=1, expires_at=2)
    assert msgspec.json.encode(row_of(decision)) == b'["token","t",1,2]'
    assert msgspec.json.decode(b'["token","t",1,2]', type=RevocationRow) == row_of(decision)


@pytest.mark.parametrize(
    "text",
    [
        '["token","t",1]',
        '["token","t",1,2,3]',
        '["tokens","t",1,2]',
        '["token","",1,2]',
        '["token","t",-1,2]',
    ],
)
def test_another_row_is_refused(text):
    """A row of other values, or of more or fewer, is no revocation."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=RevocationRow)
