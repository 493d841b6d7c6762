from tests.stores.material import NOW, grant, revoke_token

OTHER = "zzzzzzzzzzzzzzzzzzzzzw"


def reason(stores, token) -> str | None:
    return stores.revocations.concerning(token, None).reason(token, None)


def rows(stores) -> list[tuple[str, int]]:
    with stores.database.reading() as connection:
        query = "SELECT value, expires_at FROM revocations ORDER BY sequence"
        return [tuple(row) for row in connection.exec_driver_sql(query)]


def test_nothing_is_revoked_at_first(stores):
    """A token that nobody took back is not revoked."""
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
    """A revocation is kept to the token's last second, and purged by a later one afterwards."""
    revoke_token(stores, grant())
    revoke_token(stores, grant(OTHER, exp=NOW + 1200), NOW + 599)
    assert rows(stores) == [(grant().jti, NOW + 600), (OTHER, NOW + 1200)]
    third = grant("AAAAAAAAAAAAAAAAAAAAAA", exp=NOW + 1200)
    revoke_token(stores, third, NOW + 600)
    assert rows(stores) == [(OTHER, NOW + 1200), (third.jti, NOW + 1200)]
