"""Refresh families in the database: rotation is one transaction, and one of all users moves a family on."""

from typing import Any

import pytest
from sqlalchemy import event

from macaroon_cbat.errors import InvalidRequest, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import RootKey
from macaroon_cbat.stores import ClientMetadata, Stores, WrappingKey
from macaroon_cbat.stores.family import Family, Granted, Rotation
from tests.support.databases import (
    METADATA,
    NOW,
    ON_SQLITE,
    SECRET,
    all_rows,
    every_byte,
    execute,
    grant,
    remove,
)
from tests.support.failing_database import ROTATION, failing_at

FAMILY, FIRST, SECOND, THIRD = ("FFECAwQFBgcICQoLDA0ODw", "AAECAwQFBgcICQoLDA0ODw",
    "BBECAwQFBgcICQoLDA0ODw", "CCECAwQFBgcICQoLDA0ODw")  # fmt: skip
KEY = RootKey(FAMILY, b"f" * 32)
GRACE, LASTING, IDLE = 30, 600, 1000


def begin(stores: Stores, now: EpochSeconds = NOW, **changes: Any) -> Family:
    members = {
        "family": FAMILY,
        "client_id": "billing",
        "subject": "user:alice",
        "granted": Granted(scope="read", audience="https://api.example"),
        "token_id": FIRST,
        "previous_id": None,
        "created_at": now,
        "rotated_at": now,
        "expires_at": now + IDLE,
    }
    new = Family(**(members | changes))
    key = RootKey(new.family, KEY.secret)
    granted = grant(new.token_id, fam=new.family, sub=new.subject, client_id=new.client_id, iat=now)
    reason = stores.families.begin(new, key, granted, now)
    assert reason is None, reason
    return new


def rotate(stores: Stores, presented: str, successor: str, now: int = NOW, **changes: Any) -> Rotation:
    members = {"grace": GRACE, "lasting": LASTING, "before_commit": lambda: None} | changes
    second = EpochSeconds(now)
    return stores.families.rotate(FAMILY, presented, (successor, EpochSeconds(now + IDLE)), second, **members)


def current(stores: Stores, now: int = NOW) -> str | None:
    found = stores.families.find(FAMILY, EpochSeconds(now))
    return None if found is None else found[0].token_id


def test_a_family_is_found_with_its_key(stores):
    """A family that has begun is found as it was, with the key that its tokens are made with."""
    new = begin(stores)
    assert stores.families.find(FAMILY, NOW) == (new, KEY)
    assert stores.families.find(SECOND, NOW) is None


def test_a_rotation_moves_on(stores):
    """The current token is replaced by its successor, whose lifetime begins anew."""
    begin(stores)
    rotation = rotate(stores, FIRST, SECOND, NOW + 5)
    assert rotation.outcome == "rotated"
    family, _ = stores.families.find(FAMILY, NOW)
    assert rotation.family == family
    assert (family.token_id, family.previous_id, family.rotated_at) == (SECOND, FIRST, NOW + 5)
    assert family.expires_at == NOW + 5 + IDLE


def test_a_repeated_token_changes_nothing(stores):
    """The previous token within the grace gives the same successor, and moves no time forward."""
    begin(stores)
    moved = rotate(stores, FIRST, SECOND)
    assert rotate(stores, FIRST, THIRD, NOW + GRACE - 1) == moved._replace(outcome="repeated")
    assert current(stores) == SECOND


@pytest.mark.parametrize(
    ("presented", "at"), [(FIRST, NOW + GRACE), (THIRD, NOW)], ids=["after the grace", "never current"]
)
def test_a_replayed_token_ends_the_family(stores, presented, at):
    """A token that is neither current nor just replaced ends the family and its access tokens."""
    begin(stores)
    rotate(stores, FIRST, SECOND)
    assert rotate(stores, presented, THIRD, at).outcome == "replayed"
    assert current(stores) is None
    [decision] = stores.revocations.after(0).decisions
    assert (decision.kind, decision.value, decision.expires_at) == ("family", FAMILY, at + LASTING)
    assert rotate(stores, SECOND, THIRD).outcome == "gone"


@pytest.mark.parametrize(("behind", "outcome"), [(300, "repeated"), (301, "replayed")])
def test_a_clock_that_is_set_back_makes_no_grace_longer(stores, behind, outcome):
    """A clock may be behind the one that rotated, as clocks are; set back by more, it tells no age."""
    begin(stores)
    rotate(stores, FIRST, SECOND)
    assert rotate(stores, FIRST, THIRD, NOW - behind).outcome == outcome


def test_without_a_grace_no_slow_clock_gives_one(stores):
    """Without a grace the second use ends the family, also by a clock that is behind."""
    begin(stores)
    rotate(stores, FIRST, SECOND, grace=0)
    assert rotate(stores, FIRST, THIRD, NOW - 1, grace=0).outcome == "replayed"


def test_an_expired_family_is_gone(stores):
    """After its end a family is neither found nor rotated, and the next one to begin sweeps it away."""
    begin(stores)
    end = NOW + IDLE
    assert current(stores, end) is None
    assert rotate(stores, FIRST, SECOND, end).outcome == "gone"
    begin(stores, EpochSeconds(end + 600), family=SECOND)
    assert [row["family"] for row in all_rows(stores)["families"]] == [SECOND]


FAILING: dict[str, type[Exception]] = {"the audit": Unavailable, "a defect": ZeroDivisionError}


@pytest.mark.parametrize("error", FAILING.values(), ids=FAILING)
def test_a_rotation_that_fails_before_its_end_did_not_happen(stores, error):
    """If the last step before the commit fails, the presented token is still the current one."""
    begin(stores)

    def fails() -> None:
        raise error("no")

    with pytest.raises(error):
        rotate(stores, FIRST, SECOND, before_commit=fails)
    assert current(stores) == FIRST
    assert rotate(stores, FIRST, SECOND).outcome == "rotated"


@pytest.mark.parametrize("step", ROTATION)
@ON_SQLITE
def test_a_database_that_fails_between_the_steps_forks_nothing(stores, step):
    """Whichever step of a rotation fails, the old token goes on, in one family."""
    begin(stores)
    with failing_at(stores.database.engine, step) as refused, pytest.raises(Unavailable):
        rotate(stores, FIRST, SECOND)
    assert refused == [step]
    assert current(stores) == FIRST
    assert rotate(stores, FIRST, SECOND).outcome == "rotated"
    assert len(all_rows(stores)["families"]) == 1


def test_of_simultaneous_rotations_one_moves_on(url, stores, racers):
    """Four processes that use one token at once get one successor in all: one rotates, others repeat."""
    begin(stores)
    said = racers.race("refresh", url, FAMILY, FIRST, str(GRACE))
    assert sorted(outcome for outcome, _ in said) == ["repeated"] * 3 + ["rotated"]
    assert {token_id for _, token_id in said} == {current(stores)}
    assert len(all_rows(stores)["families"]) == 1


def test_of_simultaneous_rotations_without_a_grace_one_succeeds(url, stores, racers):
    """Without a grace one of four succeeds, the next one ends the family, and the others find none."""
    begin(stores)
    said = racers.race("refresh", url, FAMILY, FIRST, "0")
    assert sorted(outcome for outcome, _ in said) == ["gone", "gone", "replayed", "rotated"]
    assert all_rows(stores)["families"] == []


def test_the_key_of_a_family_is_encrypted(stores, tmp_path):
    """No byte of a family's key lies on disk in the clear."""
    begin(stores)
    stores.database.close()
    assert KEY.secret not in every_byte(tmp_path)


def test_rewrapping_includes_families(stores, open_again):
    """After the wrapping key is replaced, families are found under the new one."""
    begin(stores)
    other = WrappingKey(b"w" * 32)
    stores.root_keys.rewrap(other)
    assert stores.families.find(FAMILY, NOW)[1] == KEY
    assert open_again(other).families.find(FAMILY, NOW)[1] == KEY


@pytest.mark.parametrize(
    "end",
    [
        lambda stores: remove(stores, "billing"),
        lambda stores: stores.clients.change(
            "billing", lambda _: ClientMetadata(scope="read"), lambda: NOW, lasting=600
        ),
        lambda stores: stores.clients.revoke_tokens("client", "billing", lambda: NOW, lasting=600),
        lambda stores: stores.clients.revoke_tokens("subject", "user:alice", lambda: NOW, lasting=600),
        lambda stores: stores.families.end(FAMILY, NOW, lasting=600),
        lambda stores: stores.families.end_that_of(FIRST, NOW, lasting=600),
    ],
    ids=[
        "client removed",
        "client loses a right",
        "client revoked",
        "subject revoked",
        "family revoked",
        "token revoked",
    ],
)
def test_a_revocation_ends_families(stores, end):
    """A family ends with its client, its subject, itself or its token: revocations are not kept as long."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    begin(stores)
    begin(stores, family=SECOND, client_id="other", subject="user:bob", token_id=SECOND)
    end(stores)
    assert [row["family"] for row in all_rows(stores)["families"]] == [SECOND]


BEFORE = {
    "the family": lambda stores: stores.revocations.revoke("family", FAMILY, now=NOW, expires_at=NOW + 600),
    "the client": lambda stores: stores.revocations.revoke(
        "client", "billing", now=NOW, expires_at=NOW + 600
    ),
    "the subject": lambda stores: stores.revocations.revoke(
        "subject", "user:alice", now=NOW, expires_at=NOW + 600
    ),
}


@pytest.mark.parametrize("revoke", BEFORE.values(), ids=BEFORE)
def test_no_family_begins_that_is_revoked_already(stores, revoke):
    """A family whose client, subject or own name was revoked a moment before does not begin."""
    revoke(stores)
    with pytest.raises(AssertionError, match="revoked"):
        begin(stores)
    assert all_rows(stores)["families"] == []


@pytest.mark.parametrize("subject", ["", "a\0b", "x" * 3000], ids=["empty", "with NUL", "oversized"])
def test_a_subject_is_a_name(stores, subject):
    """A subject that no database could hold begins no family."""
    new = Family(
        family=FAMILY, client_id="billing", subject=subject, granted=Granted(scope="read"), token_id=FIRST,
        previous_id=None, created_at=NOW, rotated_at=NOW, expires_at=EpochSeconds(NOW + 1),
    )  # fmt: skip
    with pytest.raises(InvalidRequest):
        stores.families.begin(new, KEY, grant(), NOW)


def test_families_are_listed_in_pages(stores):
    """A list shows each live family once, oldest first, of one client, one subject, or all."""
    names = [f"{number:022}" for number in range(5)]
    for number, name in enumerate(names):
        subject = "user:bob" if number % 2 else "user:alice"
        begin(stores, EpochSeconds(NOW + number // 2), family=name, token_id=name, subject=subject)
    first, after = stores.families.live(NOW, limit=3)
    second, end = stores.families.live(NOW, after=after, limit=3)
    assert [one.family for one in (*first, *second)] == names
    assert end is None
    bobs, _ = stores.families.live(NOW, subject="user:bob", client_id="billing", limit=9)
    assert [one.family for one in bobs] == names[1::2]
    assert stores.families.live(NOW, client_id="other", limit=9) == ([], None)


def test_a_refresh_puts_a_family_into_the_list_of_its_certificate(stores):
    """A process of an older release, beside this one, began it without the column that the list asks for."""
    begin(stores, granted=Granted(scope="read", certificate="C" * 43))
    execute(stores, "UPDATE families SET certificate = NULL")
    rotate(stores, FIRST, SECOND)
    found, _ = stores.families.live(NOW, certificate="C" * 43, limit=9)
    assert [one.family for one in found] == [FAMILY]


@pytest.mark.parametrize("name", ["\0" * 22, "", "x", f"{FAMILY}\n", f"{FAMILY}\0"], ids=ascii)
def test_text_that_is_no_name_names_no_family(stores, name):
    """A name that no family has, NUL among it, is unknown: an attacker writes it into an identifier."""
    begin(stores)
    assert stores.families.find(name, NOW) is None
    assert stores.families.label(name, "x", NOW) is None
    assert stores.families.end(name, NOW, lasting=LASTING) is None
    rotation = stores.families.rotate(
        name, FIRST, (SECOND, NOW + IDLE), NOW, grace=GRACE, lasting=LASTING, before_commit=lambda: None
    )
    assert rotation == Rotation("gone", None)
    assert current(stores) == FIRST


@pytest.mark.parametrize("of", [{}, {"client_id": "billing"}], ids=["all", "a client"])
@ON_SQLITE
def test_a_page_is_read_in_order(stores, of):
    """A page is read along an index: no list of all families is sorted for a client that asks for one."""
    asked, engine = [], stores.database.engine

    def see(connection, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT families"):
            explained = connection.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            asked.extend(step[-1] for step in explained.fetchall())

    event.listen(engine, "before_cursor_execute", see)
    stores.families.live(NOW, after=(NOW - 60, FAMILY), limit=3, **of)
    event.remove(engine, "before_cursor_execute", see)
    [step] = asked
    assert step.startswith("SEARCH families USING INDEX")


def test_a_family_may_have_a_label(stores):
    """A label is kept with the family, and can be taken away."""
    begin(stores)
    labelled = stores.families.label(FAMILY, "my phone", NOW)
    assert labelled == stores.families.find(FAMILY, NOW)[0]
    assert labelled.granted.label == "my phone"
    assert stores.families.label(FAMILY, None, NOW).granted.label is None
    assert stores.families.label(SECOND, "x", NOW) is None
