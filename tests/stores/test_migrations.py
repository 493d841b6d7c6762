"""Migrations: the data of an older version are carried over."""

import json

import pytest

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.stores import ClientMetadata, Database
from macaroon_cbat.stores.clients import metadata_from
from tests.support.databases import METADATA, NOW, SECRET, WRAPPING_KEY, execute, grant, opened
from tests.support.migrations import migrate
from tests.support.racer import DAY

KEYS = {"k1": NOW - 9 * DAY, "k2": NOW - 600, "k3": NOW - 60}
TOKENS = {"B" * 22: (NOW - 5, NOW + 300), "A" * 22: (NOW - 9, NOW + 600), "C" * 22: (NOW - 5, NOW + 600)}


@pytest.fixture
def old_url(empty_url: str) -> str:
    """Name a database as version 0001 left it, with three keys, a client and revoked tokens."""
    migrate(empty_url, "0001")
    old = Database(empty_url)
    with old.writing() as connection:
        for kid, made in KEYS.items():
            row = (kid, WRAPPING_KEY.wrap(kid, kid.encode() * 16), made)
            insert(connection, "root_keys (kid, wrapped_secret, created_at)", row)
        for jti, times in TOKENS.items():
            insert(connection, "revoked_tokens (jti, client_id, revoked_at, expires_at)", (jti, "b", *times))
        insert(connection, "clients (client_id, metadata, created_at)", ("billing", '{"scope":"read"}', NOW))
        insert(connection, "service_facts (name, value)", ("issuer", "https://as.example"))
    old.close()
    return empty_url


def insert(connection, into: str, row: tuple[object, ...]) -> None:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    connection.exec_driver_sql(f"INSERT INTO {into} VALUES ({', '.join([mark] * len(row))})", row)


@pytest.fixture
def migrated(old_url: str):
    stores = opened(old_url)
    yield stores
    stores.database.close()


def test_old_keys_go_on(migrated):
    """The newest old key mints on, the others verify on, each retiring since it was replaced."""
    assert [(one.kid, one.state, one.since) for one in migrated.root_keys.records()[:3]] == [
        ("k1", "retiring", KEYS["k2"]),
        ("k2", "retiring", KEYS["k3"]),
        ("k3", "current", KEYS["k3"]),
    ]
    assert [one.state for one in migrated.root_keys.records()[3:]] == ["next"]
    assert migrated.root_keys.current().secret == b"k3" * 16
    assert migrated.root_keys.find("k1").secret == b"k1" * 16


def test_an_old_key_is_kept_for_its_tokens(migrated):
    """The upgrade retires no key whose tokens may live, however long ago it was made."""
    migrated.root_keys.keep(NOW, 0, DAY)
    assert [one.state for one in migrated.root_keys.records()] == ["retiring", "retiring", "current", "next"]


def test_revoked_tokens_stay_revoked(migrated):
    """Each token that was revoked stays so, in the order of revocation, and new ones come behind."""
    page = migrated.revocations.after(0, "https://api.example")
    assert [(one.kind, one.value, one.revoked_at, one.expires_at) for one in page.decisions] == [
        ("token", jti, *TOKENS[jti]) for jti in ("A" * 22, "B" * 22, "C" * 22)
    ]
    for jti in TOKENS:
        found: Revocations = migrated.revocations.concerning(grant(jti), None)
        assert jti in (found.reason(grant(jti), None) or "")
    migrated.revocations.revoke("subject", "alice", now=NOW, expires_at=NOW + DAY)
    [news] = migrated.revocations.after(page.cursor, "https://api.example").decisions
    assert news.value == "alice"


def test_the_rest_stays(migrated):
    """Clients and the issuer are carried over as they were, and the old table is gone."""
    assert [one.client_id for one in migrated.clients.all()] == ["billing"]
    assert migrated.recorded_issuer() == "https://as.example"
    migrated.clients.add("payroll", METADATA, secret=SECRET, now=NOW)
    assert len(execute(migrated, "SELECT * FROM revocations")) == 3


def test_an_old_database_without_revocations_is_carried_over(empty_url):
    """A database of version 0001 in which nothing was revoked begins its feed at the beginning."""
    migrate(empty_url, "0001")
    stores = opened(empty_url)
    assert stores.revocations.newest() == 0
    assert [one.state for one in stores.root_keys.records()] == ["current", "next"]
    stores.database.close()


@pytest.fixture
def calling(empty_url: str):
    """Open a database of version 0002 with a client that has the scope `keys`, and an audience."""
    migrate(empty_url, "0002")
    old = Database(empty_url)
    metadata = '{"scope":"read keys","audiences":["https://api.example"]}'
    with old.writing() as connection:
        row = ("billing", SECRET.encode(), metadata, NOW - DAY)
        insert(connection, "clients (client_id, secret_hash, metadata, created_at)", row)
    old.close()
    stores = opened(empty_url)
    yield stores
    stores.database.close()


def test_an_old_client_serves_nothing(calling):
    """A client of before keeps its secret and what it may ask for, and gets the keys of no audience."""
    [client] = calling.clients.all()
    assert client.metadata == ClientMetadata(scope="read keys", audiences=("https://api.example",))
    assert client.metadata.serves == ()
    assert client.secret_hash == SECRET.encode()


def test_an_old_clients_tokens_stay_valid(calling):
    """The tokens that a client of before has are valid since its registration, and none before that."""
    [client] = calling.clients.all()
    assert (client.created_at, client.tokens_since) == (NOW - DAY, NOW - DAY)


def test_processes_migrate_at_once(racers, old_url):
    """Processes that open an old database at the same moment migrate it once, and agree on its keys."""
    answers = racers.race("open", old_url)
    assert answers == [answers[0]] * 4
    assert len(answers[0]) == 4


SPELLED = (
    '{"scope":"read","audiences":["https://api.example/","https://API.example","urn:a"],'
    '"serves":["https://other.example:443"]}'
)


@pytest.fixture
def spelled(empty_url: str):
    """Open a database of version 0003 in which audiences are spelled as their operators typed them."""
    migrate(empty_url, "0003")
    old = Database(empty_url)
    with old.writing() as connection:
        into = "clients (client_id, secret_hash, metadata, created_at, tokens_since)"
        insert(connection, into, ("billing", SECRET.encode(), SPELLED, NOW - DAY, NOW - DAY))
        insert(connection, into, ("plain", SECRET.encode(), '{"scope":"read"}', NOW - DAY, NOW - DAY))
        into = "revocations (sequence, kind, value, audience, revoked_at, expires_at)"
        for number, audience in enumerate(("https://api.example/", "https://API.example", None), 1):
            insert(connection, into, (number, "token", str(number) * 22, audience, NOW, NOW + DAY))
        insert(connection, "feed_positions (feed, position)", ("revocations", 3))
    old.close()
    stores = opened(empty_url)
    yield stores
    stores.database.close()


def test_old_audiences_get_their_canonical_spelling(spelled):
    """Audiences that clients may ask for and serve are in canonical spelling, each once; the rest stays."""
    billing, plain = spelled.clients.all()
    assert billing.metadata == ClientMetadata(
        scope="read", audiences=("https://api.example", "urn:a"), serves=("https://other.example",)
    )
    assert billing.tokens_since == NOW - DAY
    assert plain.metadata == ClientMetadata(scope="read")


def test_old_revocations_concern_the_canonical_spelling(spelled):
    """A resource server goes on to learn of each token revoked for another spelling of its audience."""
    page = spelled.revocations.after(0, "https://api.example")
    assert [one.value[0] for one in page.decisions] == ["1", "2", "3"]
    assert [one.value[0] for one in spelled.revocations.after(0, "urn:a").decisions] == ["3"]


def test_an_old_client_that_names_a_certificate_twice_stays(empty_url):
    """A row that an older release wrote is read, though no client could register it now."""
    migrate(empty_url, "0004")
    old, once = Database(empty_url), "A" * 43
    metadata = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "scope": "read"}
    with old.writing() as connection:
        into = "clients (client_id, metadata, created_at, tokens_since)"
        text = json.dumps(metadata | {"certificates": [once, once]})
        insert(connection, into, ("twice", text, NOW - DAY, NOW - DAY))
    old.close()
    stores = opened(empty_url)
    [client] = stores.clients.all()
    assert client.metadata.certificates == (once, once)
    with pytest.raises(InvalidClientMetadata, match="listed twice"):
        metadata_from(json.loads(text))
    stores.database.close()


@pytest.mark.parametrize("certificate", ["A" * 43, None])
def test_an_old_family_is_found_by_its_certificate(empty_url, certificate):
    """A login of before is in the list of the certificate that it is bound to, and of no other."""
    migrate(empty_url, "0005")
    old = Database(empty_url)
    content = {"scope": "read"} | ({} if certificate is None else {"certificate": certificate})
    with old.writing() as connection:
        into = (
            "families (family, client_id, subject, content, wrapped_secret, token_id, created_at, "
            "rotated_at, expires_at)"
        )
        row = ("F" * 22, "phone", "user:alice", json.dumps(content), b"", "T" * 22, NOW, NOW, NOW + DAY)
        insert(connection, into, row)
    old.close()
    stores = opened(empty_url)
    found, _ = stores.families.live(NOW, client_id="phone", certificate="A" * 43, limit=9)
    assert [one.family for one in found] == ([] if certificate is None else ["F" * 22])
    stores.database.close()
