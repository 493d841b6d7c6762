import sqlite3

from macaroon_cbat.revocation import NOTHING_REVOKED
from tests.stores.material import NOW, grant

OTHER = "zzzzzzzzzzzzzzzzzzzzzw"


def rows(folder) -> list[tuple[str, int]]:
    connection = sqlite3.connect(folder / "db.sqlite3")
    found = connection.execute("SELECT jti, expires_at FROM revoked_tokens ORDER BY jti").fetchall()
    connection.close()
    return found


def test_nothing_is_revoked_at_first(stores):
    """A token that nobody took back is not revoked."""
    assert stores.revoked_tokens.concerning(grant()) == NOTHING_REVOKED


def test_a_revoked_token_is_revoked_everywhere(stores, open_again):
    """A token taken back in one process is revoked in every other one at once."""
    elsewhere = open_again()
    stores.revoked_tokens.revoke(grant(), NOW)
    for one in (stores, elsewhere, open_again()):
        assert "is revoked" in one.revoked_tokens.concerning(grant()).reason(grant())


def test_another_token_is_not_revoked(stores):
    """Revoking one token of a client leaves its other ones."""
    stores.revoked_tokens.revoke(grant(), NOW)
    revocations = stores.revoked_tokens.concerning(grant(OTHER))
    assert revocations.reason(grant(OTHER)) is None


def test_identifiers_are_case_sensitive(stores):
    """Two identifiers that differ in letter case only are two tokens."""
    stores.revoked_tokens.revoke(grant(), NOW)
    swapped = grant(grant().jti.swapcase())
    assert stores.revoked_tokens.concerning(swapped).reason(swapped) is None


def test_revoking_twice_changes_nothing(stores, tmp_path):
    """Revoking a token again is no error and no second entry."""
    for second in (0, 1, 2):
        stores.revoked_tokens.revoke(grant(), NOW + second)
    assert rows(tmp_path) == [(grant().jti, NOW + 600)]


def test_a_revocation_lasts_until_the_token_expires(stores, tmp_path):
    """A revocation is kept to the token's last second, and purged by a later one afterwards."""
    stores.revoked_tokens.revoke(grant(), NOW)
    stores.revoked_tokens.revoke(grant(OTHER, exp=NOW + 1200), NOW + 599)
    assert rows(tmp_path) == [(grant().jti, NOW + 600), (OTHER, NOW + 1200)]
    third = grant("AAAAAAAAAAAAAAAAAAAAAA", exp=NOW + 1200)
    stores.revoked_tokens.revoke(third, NOW + 600)
    assert rows(tmp_path) == [(third.jti, NOW + 1200), (OTHER, NOW + 1200)]
