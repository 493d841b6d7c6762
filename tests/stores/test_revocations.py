import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.revocation import KEPT_LONGER_SECONDS
from macaroon_cbat.stores.revocations import MEMORY_SECONDS, RevocationStore
from tests.support.databases import NOW, grant, revoke_token
from tests.support.racer import DAY

API, OTHER_API = "https://api.example", "https://other.example"
OTHER = "zzzzzzzzzzzzzzzzzzzzzw"
THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


def reason(stores, token) -> str | None:
    return stores.revocations.concerning(token, None).reason(token, None)


def names(stores, cursor: int = 0) -> list[str]:
    return [decision.value for decision in stores.revocations.after(cursor, API).decisions]


def rows(stores) -> list[tuple[str, int]]:
    with stores.database.reading() as connection:
        query = "SELECT value, expires_at FROM revocations ORDER BY sequence"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_nothing_is_revoked_at_first(stores):
    """A token without a revocation is not revoked."""
    assert len(stores.revocations.concerning(grant(), None)) == 0
    assert reason(stores, grant()) is None


def test_a_revoked_token_is_revoked_everywhere(stores, open_again):
    """A token taken back in one process is revoked in every other one at once."""
    elsewhere = open_again()
    revoke_token(stores, grant())
    for one in (stores, elsewhere, open_again()):
        assert "is revoked" in reason(one, grant())


def test_another_token_is_not_revoked(stores):
    """Revoking one token of a client leaves its other ones."""
    revoke_token(stores, grant())
    assert reason(stores, grant(OTHER)) is None


def test_identifiers_are_case_sensitive(stores):
    """Two identifiers that differ in letter case only are two tokens."""
    revoke_token(stores, grant())
    assert reason(stores, grant(grant().jti.swapcase())) is None


def test_revoking_twice_changes_nothing(stores):
    """Revoking a token again is no error and no second entry."""
    for second in (0, 1, 2):
        revoke_token(stores, grant(), NOW + second)
    assert rows(stores) == [(grant().jti, NOW + 600)]


def test_a_revocation_lasts_until_the_token_expires(stores):
    """A revocation is kept to the token's last second by the slowest clock, and purged by a later one."""
    revoke_token(stores, grant())
    last = NOW + 600 + KEPT_LONGER_SECONDS - 1
    revoke_token(stores, grant(OTHER, exp=NOW + 1200), last)
    assert rows(stores) == [(grant().jti, NOW + 600), (OTHER, NOW + 1200)]
    third = grant("AAAAAAAAAAAAAAAAAAAAAA", exp=NOW + 1200)
    revoke_token(stores, third, last + 1)
    assert rows(stores) == [(OTHER, NOW + 1200), (third.jti, NOW + 1200)]


@pytest.mark.parametrize("kind", ["token", "client", "subject", "family", "key"])
def test_every_kind_is_found_for_its_grant(stores, kind):
    """A revocation of any kind is found with the grant that it names, and with no grant of another name."""
    member = {"token": "jti", "client": "client_id", "subject": "sub", "family": "fam", "key": "kid"}[kind]
    mine, other = (msgspec.structs.replace(grant(), **{member: name}) for name in ("mine", "other"))
    stores.revocations.revoke(kind, "mine", now=NOW, expires_at=NOW + DAY)
    assert "mine" in reason(stores, mine)
    assert reason(stores, other) is None


def test_a_certificate_revoked_elsewhere_is_known_within_a_second(stores, open_again):
    """A process that has just found a certificate unrevoked learns of another's revocation in a second."""
    elapsed = [0.0]
    asking = RevocationStore(open_again().database, monotonic=lambda: elapsed[0])
    assert not asking.has_certificate(THUMBPRINT)
    stores.revocations.revoke("certificate", THUMBPRINT, now=NOW, expires_at=NOW + DAY)
    elapsed[0] = MEMORY_SECONDS - 0.001
    assert not asking.has_certificate(THUMBPRINT)
    elapsed[0] = MEMORY_SECONDS
    assert asking.has_certificate(THUMBPRINT)


def test_a_revoked_certificate_is_found_by_its_connection(stores):
    """A revoked certificate is found with any grant that comes over it, and asked for alone."""
    assert not stores.revocations.has_certificate(THUMBPRINT)
    stores.revocations.revoke("certificate", THUMBPRINT, now=NOW, expires_at=NOW + DAY)
    assert stores.revocations.has_certificate(THUMBPRINT)
    found = stores.revocations.concerning(grant(), THUMBPRINT)
    assert THUMBPRINT in found.reason(grant(), THUMBPRINT)
    assert reason(stores, grant()) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        pytest.param("token", "", id="nothing"),
        pytest.param("subject", "a\0b", id="NUL"),
        pytest.param("subject", "\udcff", id="a lone surrogate"),
        pytest.param("subject", "\u20ac" * 667, id="too long"),
        pytest.param("certificate", "ab" * 32, id="hex"),
        pytest.param("certificate", "AB" * 32, id="hex in capitals"),
        pytest.param("certificate", THUMBPRINT + "=", id="padded"),
    ],
)
def test_what_names_nothing_is_refused(stores, kind, value):
    """A value that can be the name of nothing is InvalidRequest: no follower ever has to read it."""
    with pytest.raises(InvalidRequest):
        stores.revocations.revoke(kind, value, now=NOW, expires_at=NOW + DAY)
    assert rows(stores) == []


def test_a_long_name_is_revoked(stores):
    """A name of any script, up to the longest, is revoked as it is."""
    name = "\u20ac" * 666 + "''"
    stores.revocations.revoke("subject", name, now=NOW, expires_at=NOW + DAY)
    assert reason(stores, msgspec.structs.replace(grant(), sub=name))


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_what_is_revoked_stays_so(stores, kind):
    """A second revocation reaches further, and never takes back the first, whatever the clock says."""
    for now, expires_at in ((NOW + 60, NOW + DAY), (NOW, NOW + 100)):
        stores.revocations.revoke(kind, "billing", now=now, expires_at=expires_at)
    assert reason(stores, grant(iat=NOW + 60))
    assert reason(stores, grant(iat=NOW + 61)) is None
    assert rows(stores) == [("billing", NOW + DAY)]


def test_a_revocation_for_all_is_not_narrowed(stores):
    """A token that is revoked for every audience stays so when it is revoked for one afterwards."""
    for second, audience in enumerate((None, API)):
        stores.revocations.revoke("token", "x", now=NOW + second, expires_at=NOW + DAY, audience=audience)
    for audience in (API, OTHER_API):
        assert [one.value for one in stores.revocations.after(0, audience).decisions] == ["x"]


def test_the_feed_is_in_the_order_of_revoking(stores):
    """The feed hands out decisions in the order in which they were made, each behind a growing cursor."""
    assert stores.revocations.newest() == 0
    cursors = []
    for name in ("c", "a", "b"):
        stores.revocations.revoke("subject", name, now=NOW, expires_at=NOW + DAY)
        cursors.append(stores.revocations.newest())
    assert cursors == sorted(set(cursors))
    assert [names(stores, cursor) for cursor in (0, *cursors)] == [
        ["c", "a", "b"], ["a", "b"], ["b"], [],
    ]  # fmt: skip
    page = stores.revocations.after(cursors[0], API)
    assert page.cursor == cursors[-1] == stores.revocations.after(cursors[-1], API).cursor


def test_revoking_again_is_news(stores):
    """A revocation that is made again comes behind the cursor of each reader of the first one."""
    stores.revocations.revoke("subject", "alice", now=NOW, expires_at=NOW + DAY)
    cursor = stores.revocations.newest()
    stores.revocations.revoke("subject", "alice", now=NOW + 9, expires_at=NOW + 9 + DAY)
    [decision] = stores.revocations.after(cursor, API).decisions
    assert decision.revoked_at == NOW + 9
    assert len(names(stores)) == 1


def test_the_cursor_outlives_what_expires(stores):
    """A cursor never comes twice, though every revocation before it has expired and is gone."""
    revoke_token(stores, grant())
    first = stores.revocations.newest()
    for now in (NOW + DAY, NOW + 2 * DAY):
        stores.revocations.revoke("subject", "alice", now=now, expires_at=now + 1)
    assert stores.revocations.newest() == first + 2
    assert names(stores, first) == ["alice"]


def test_pages_make_up_the_whole(stores):
    """Read page by page, the feed gives each decision once, in order, whatever the size of a page."""
    for number in range(8):
        audience = OTHER_API if number in (2, 3, 7) else None
        stores.revocations.revoke("token", str(number), now=NOW, expires_at=NOW + DAY, audience=audience)
    for limit in (1, 2, 3, 7, 8, 9):
        seen, cursor, newest = [], 0, stores.revocations.newest()
        while cursor < newest:
            page = stores.revocations.after(cursor, API, limit=limit)
            assert len(page.decisions) <= limit
            assert page.cursor > cursor
            cursor = page.cursor
            seen += [one.value for one in page.decisions]
        assert seen == ["0", "1", "4", "5", "6"]


def test_an_audience_sees_what_concerns_it(stores):
    """The feed of an audience has what concerns it and what concerns all, and nothing of another one."""
    for name, audience in (("mine", API), ("other", OTHER_API), ("all", None)):
        stores.revocations.revoke("token", name, now=NOW, expires_at=NOW + DAY, audience=audience)
    assert names(stores) == ["mine", "all"]
    assert [one.value for one in stores.revocations.after(0, OTHER_API).decisions] == ["other", "all"]
    assert [one.value for one in stores.revocations.after(0, "https://unknown.example").decisions] == ["all"]


def test_writers_in_several_processes_leave_no_gap(racers, stores, url):
    """A follower that reads while four processes revoke gets every decision once, and misses none."""
    followed: list[str] = []
    cursor = 0
    with ThreadPoolExecutor() as pool:
        race = pool.submit(racers.race, "revoke", url)
        while not race.done() or cursor < stores.revocations.newest():
            page = stores.revocations.after(cursor, API, limit=7)
            followed += [one.value for one in page.decisions]
            cursor = page.cursor
            time.sleep(0.001)
    made = race.result()
    assert sorted(followed) == sorted(name for names_of_one in made for name in names_of_one)
    for names_of_one in made:
        assert [name for name in followed if name in set(names_of_one)] == names_of_one
    assert cursor == len(followed) == 200


def test_another_process_sees_a_revocation_at_once(racers, stores, url):
    """A subject that one process has revoked is refused by another one from its next look on."""
    [names_of_one, *_] = racers.race("revoke", url)
    assert reason(stores, grant()) is None
    asked = msgspec.structs.replace(grant(), sub=names_of_one[0])
    assert reason(stores, asked)


def test_what_is_revoked_again_while_a_page_is_read_is_not_missed(stores, open_again, monkeypatch):
    """A revocation that gets a later place between the statements of a page is on the page all the same."""
    other, again = stores.revocations, open_again().revocations
    revoke_token(stores, grant())
    other.revoke("token", "again", now=NOW, expires_at=NOW + 600)
    newest = other.newest

    def newest_and_again():
        found = newest()
        again.revoke("token", "again", now=NOW, expires_at=NOW + 600)
        return found

    monkeypatch.setattr(other, "newest", newest_and_again)
    page = other.after(0)
    assert [each.value for each in page.decisions] == ["AAECAwQFBgcICQoLDA0ODw", "again"]
