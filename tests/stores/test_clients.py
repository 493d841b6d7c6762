import base64
import hashlib
import secrets

import msgspec
import pytest

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores import client_store as store_of_clients
from macaroon_cbat.stores.client_secrets import has_secret
from macaroon_cbat.stores.client_store import MEMORY_SECONDS, ClientStore
from tests.support.databases import METADATA, NOW, ON_SQLITE, every_byte, remove, without

SECRET = secrets.token_urlsafe(32)
BY_CERTIFICATE = ClientMetadata(
    scope="read",
    token_endpoint_auth_method="self_signed_tls_client_auth",
    certificates=("A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0",),
)


def test_a_client_is_found_as_it_was_added(stores, open_again):
    """A registered client is found, in every process, with all that it registered."""
    metadata = ClientMetadata(
        scope="read write",
        audiences=("https://api.example", "urn:example:api"),
        tls_client_certificate_bound_access_tokens=True,
        token_endpoint_auth_method="tls_client_auth",
        tls_client_auth_subject_dn="CN=billing,O=Example",
        understands_caveats=True,
        checks_certificates=True,
    )
    added = stores.clients.add("billing", metadata, secret=None, now=NOW)
    assert added.created_at == NOW
    assert stores.clients.find("billing") == open_again().clients.find("billing") == added
    assert added.metadata == metadata


@pytest.mark.parametrize("name", ["unknown", "", "Billing", "billing ", "bill%", "billin_", "' OR 1=1 --"])
def test_another_name_finds_no_client(stores, name):
    """A name finds the client that has exactly this name, or none."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert stores.clients.find(name) is None
    assert remove(stores, name) is False


@pytest.mark.parametrize("name", ["a\0b", "\0", "\ud800", "x" * 100_000])
def test_an_impossible_name_finds_no_client(stores, name):
    """A name that cannot be registered is not even asked for: some databases would choke on it."""
    with without(stores, "clients"):
        assert stores.clients.find(name) is None
        assert remove(stores, name) is False


def test_clients_are_listed_by_name(stores):
    """All clients are listed, in the order of their names."""
    for name in ("payroll", "billing", "archive"):
        stores.clients.add(name, METADATA, secret=SECRET, now=NOW)
    assert [one.client_id for one in stores.clients.all()] == ["archive", "billing", "payroll"]


def test_a_removed_client_is_gone(stores, open_again):
    """A removed client is found nowhere any more, and its name is free."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    stores.clients.add("payroll", METADATA, secret=SECRET, now=NOW)
    assert remove(stores, "billing") is True
    assert remove(stores, "billing") is False
    assert open_again().clients.find("billing") is None
    assert [one.client_id for one in stores.clients.all()] == ["payroll"]
    stores.clients.add("billing", METADATA, secret="another" * 4, now=NOW)


def test_a_name_is_taken_once(stores, open_again):
    """A second client of the same name is refused, from any process, and the first one stays."""
    first = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    for one in (stores, open_again()):
        with pytest.raises(InvalidClientMetadata, match="client billing exists: choose another name"):
            one.clients.add("billing", BY_CERTIFICATE, secret=None, now=NOW)
    assert stores.clients.find("billing") == first


@pytest.mark.parametrize("name", ["a", "A.b_c~d-e", "0", "x" * 64])
def test_a_name_is_letters_digits_and_some_marks(stores, name):
    """A client's name has 1 to 64 unreserved characters."""
    assert stores.clients.add(name, METADATA, secret=SECRET, now=NOW).client_id == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "-a", ".a", "a b", "a\n", "a:b", "a/b", "a%b", "ä", "a\0", "a+b", 'a"b']
)
def test_a_malformed_name_is_refused(stores, name):
    """A name that would have to be escaped somewhere is refused."""
    with pytest.raises(InvalidClientMetadata, match="the client name is malformed: write 1 to 64"):
        stores.clients.add(name, METADATA, secret=SECRET, now=NOW)
    assert stores.clients.all() == []


@pytest.mark.parametrize(
    ("metadata", "secret"),
    [
        pytest.param(METADATA, None, id="a secret method without a secret"),
        pytest.param(BY_CERTIFICATE, SECRET, id="a certificate method with a secret"),
    ],
)
def test_a_client_has_the_credentials_of_its_method(stores, metadata, secret):
    """A client has a secret if and only if it authenticates with one."""
    with pytest.raises(
        InvalidClientMetadata, match="the secret does not match token_endpoint_auth_method: give one with"
    ):
        stores.clients.add("billing", metadata, secret=secret, now=NOW)
    assert stores.clients.all() == []


@ON_SQLITE
def test_secrets_are_stored_hashed_only(stores, tmp_path):
    """No client secret stands in the database files, in no encoding; its SHA-256 does."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    on_disk = every_byte(tmp_path)
    assert hashlib.sha256(SECRET.encode()).digest() in on_disk
    for spelling in (SECRET.encode(), SECRET.encode().hex().encode(), base64.b64encode(SECRET.encode())):
        assert spelling[:20] not in on_disk


def test_a_client_has_its_own_secret_only(stores):
    """Exactly the secret that was registered is a client's secret."""
    billing = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    payroll = stores.clients.add("payroll", METADATA, secret="another" * 4, now=NOW)
    assert has_secret(billing, SECRET, NOW)
    assert has_secret(stores.clients.find("payroll"), "another" * 4, NOW)
    for wrong in ("", SECRET[:-1], SECRET + "A", SECRET.swapcase(), SECRET + "\0", "another" * 4):
        assert not has_secret(billing, wrong, NOW)
    assert not has_secret(payroll, SECRET, NOW)
    assert not has_secret(billing, str(billing.secret_hash), NOW)


@pytest.mark.parametrize("secret", ["", "no client has this secret", "anything"])
def test_who_has_no_secret_has_none_at_all(stores, secret):
    """No text is the secret of an unknown client, or of one that authenticates by certificate."""
    assert not has_secret(None, secret, NOW)
    assert not has_secret(stores.clients.add("tls", BY_CERTIFICATE, secret=None, now=NOW), secret, NOW)


def test_a_client_does_not_print_its_secret(stores):
    """A client shows its name, never its secret or the hash of it."""
    client = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert repr(client) == "<Client billing>"


def test_stored_metadata_is_small(stores):
    """A member that a client did not name is not stored: a default may become another one day."""
    client = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    stored = msgspec.json.encode(client.metadata)
    assert msgspec.json.decode(stored) == {"scope": "read write", "audiences": ["https://api.example"]}


def test_a_client_removed_elsewhere_is_gone_within_a_second(stores, open_again):
    """A process that has just seen a client lets it go a second after another process removed it."""
    elapsed = [0.0]
    seeing = ClientStore(open_again().database, monotonic=lambda: elapsed[0])
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert seeing.find("billing") is not None
    remove(stores, "billing")
    elapsed[0] = MEMORY_SECONDS - 0.001
    assert seeing.find("billing") is not None
    elapsed[0] = MEMORY_SECONDS
    assert seeing.find("billing") is None
    stores.clients.add("billing", BY_CERTIFICATE, secret=None, now=NOW)
    assert seeing.find("billing").metadata == BY_CERTIFICATE


def test_the_process_that_removes_a_client_forgets_it_at_once(stores):
    """A client is gone at once for the process that removed it."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert stores.clients.find("billing") is not None
    remove(stores, "billing")
    assert stores.clients.find("billing") is None


def test_what_is_remembered_of_clients_is_bounded(stores, monkeypatch):
    """Any number of clients takes up a bounded amount of memory."""
    monkeypatch.setattr(store_of_clients, "MOST_SEEN", 3)
    for number in range(10):
        stores.clients.add(f"c{number}", METADATA, secret=SECRET, now=NOW)
        assert stores.clients.find(f"c{number}") is not None
    assert sum(stores.clients.remembered(f"c{number}") is not None for number in range(10)) <= 3
