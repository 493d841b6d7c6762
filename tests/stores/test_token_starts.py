"""All tokens so far of a client are revoked with it, with a right that it loses, and on demand."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from msgspec import structs
from sqlalchemy import select

from macaroon_cbat.errors import InvalidClientMetadata, InvalidRequest
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.client_changes import takes_away
from macaroon_cbat.stores.client_store import MEMORY_SECONDS, ClientStore
from macaroon_cbat.stores.schema import revocations
from macaroon_cbat.stores.token_starts import MARGIN_SECONDS
from tests.support.databases import METADATA, NOW, SECRET, grant, remove

API, OTHER = "https://api.example", "https://other.example"
LASTING = 600


def now():
    return NOW


@pytest.fixture
def billing(stores):
    return stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)


def changed(stores, at=NOW, **members):
    """Change the client's metadata; return it as it is then."""
    before = stores.clients.find("billing").metadata
    after = ClientMetadata(**{**{n: getattr(before, n) for n in before.__struct_fields__}, **members})
    _, client = stores.clients.change("billing", lambda _: after, lambda: at, lasting=LASTING)
    return client


def is_revoked(stores, issued_at, **about):
    return stores.revocations.reason(grant(iat=issued_at, **about), None) is not None


def test_removing_revokes_up_to_now_and_a_little_more(stores, billing):
    """Tokens of the second of the removal are revoked, and those of a process that has not heard of it."""
    assert remove(stores, "billing")
    assert is_revoked(stores, NOW)
    assert is_revoked(stores, NOW + MEMORY_SECONDS)
    assert not is_revoked(stores, NOW, client_id="payroll")


def test_a_name_registered_anew_begins_after_the_revocation(stores, billing):
    """The first token of a new registration under an old name is not revoked, however soon it comes."""
    remove(stores, "billing")
    anew = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert anew.created_at == NOW
    assert not is_revoked(stores, anew.tokens_since)
    assert is_revoked(stores, anew.tokens_since - 1)
    assert stores.clients.find("billing") == anew


def test_a_new_name_begins_before_its_registration(stores, billing):
    """A service whose clock is behind mints for a new client by its own time, which shows how far it is."""
    assert billing.tokens_since == NOW - LONGEST_CLOCK_SKEW


def test_a_clock_that_is_behind_brings_nothing_back(stores, billing):
    """A process whose clock is behind registers a removed name so that no old token is valid again."""
    remove(stores, "billing", NOW + 90)
    anew = stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    assert is_revoked(stores, NOW + 90)
    assert anew.tokens_since > NOW + 90


def test_each_revocation_of_one_second_takes_what_was_issued_before(stores, billing):
    """Revoked again within the second, a client loses the tokens that it got in between."""
    starts = []
    for _ in range(3):
        stores.clients.revoke_tokens("client", "billing", now, lasting=LASTING)
        starts.append(stores.clients.find("billing").tokens_since)
        assert not is_revoked(stores, starts[-1])
        assert is_revoked(stores, starts[-1] - 1)
    assert starts == sorted(set(starts))
    remove(stores, "billing")
    assert is_revoked(stores, starts[-1])


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_a_clients_tokens_are_revoked_by_either_name(stores, billing, kind):
    """Revoked as client or as subject, the tokens so far are, and those issued from then on are not."""
    decision = stores.clients.revoke_tokens(kind, "billing", now, lasting=LASTING)
    assert (decision.kind, decision.value) == (kind, "billing")
    assert decision.expires_at == decision.revoked_at + LASTING
    assert is_revoked(stores, NOW)
    assert not is_revoked(stores, stores.clients.find("billing").tokens_since)


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_an_unregistered_name_revokes_nothing_unless_it_is_meant(stores, billing, kind):
    """A name that no client has revokes nothing; where that is meant, it revokes what is left of it."""
    for name in ("biling", "a/b", "a\u00e4"):
        assert stores.clients.revoke_tokens(kind, name, now, lasting=LASTING) is None
    assert stores.revocations.newest() == 0
    meant = stores.clients.revoke_tokens(kind, "biling", now, lasting=LASTING, is_registered=False)
    assert meant.value == "biling"
    assert is_revoked(stores, NOW, **{"client": {"client_id": "biling"}, "subject": {"sub": "biling"}}[kind])
    assert stores.clients.add("biling", METADATA, secret=SECRET, now=NOW).tokens_since > meant.revoked_at


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 2001, "\ud800"], ids=["empty", "NUL", "long", "half"])
def test_what_is_no_name_is_refused(stores, name):
    """A name that no database could hold is refused, whether it must be registered or not."""
    for is_registered in (True, False):
        with pytest.raises((InvalidRequest, UnicodeEncodeError)):
            stores.clients.revoke_tokens("client", name, now, lasting=LASTING, is_registered=is_registered)


def test_the_clock_is_read_when_it_is_this_writers_turn(stores, billing, url, open_again):
    """A removal that waited for others revokes the tokens of meanwhile: its second is that of its turn."""
    second = [NOW]
    with ThreadPoolExecutor() as pool:
        with open_again().database.writing():
            waiting = pool.submit(stores.clients.remove, "billing", lambda: second[0], lasting=LASTING)
            second[0] = NOW + 4
        assert waiting.result()
    assert is_revoked(stores, NOW + 4)


WIDER = {
    "a scope": {"scope": "read write audit"},
    "an audience": {"audiences": (API, OTHER)},
    "an audience that it serves": {"serves": (API,)},
    "nothing": {},
}
NARROWER = {
    "a scope": {"scope": "read"},
    "a scope for another": {"scope": "read audit"},
    "no scope": {"scope": None, "serves": (API,)},
    "another audience": {"audiences": (OTHER,)},
    "no audience": {"audiences": ()},
    "bound tokens": {"tls_client_certificate_bound_access_tokens": True},
    "another way to authenticate": {"token_endpoint_auth_method": "client_secret_post"},
    "caveats": {"understands_caveats": True},
}


@pytest.mark.parametrize("members", WIDER.values(), ids=WIDER)
def test_a_right_more_revokes_nothing(stores, billing, members):
    """A client that is given a right keeps the tokens that it has, and its secret."""
    client = changed(stores, **members)
    assert (client.secret_hash, client.tokens_since) == (billing.secret_hash, billing.tokens_since)
    assert stores.revocations.newest() == 0
    assert stores.clients.find("billing") == client


@pytest.mark.parametrize("members", NARROWER.values(), ids=NARROWER)
def test_a_right_less_revokes_the_tokens_that_had_it(stores, billing, members):
    """A client that loses a right, or is changed in any other way, loses the tokens so far with it."""
    client = changed(stores, **members)
    assert client.secret_hash == billing.secret_hash
    assert is_revoked(stores, NOW)
    assert not is_revoked(stores, client.tokens_since)
    assert stores.clients.find("billing") == client


def test_the_first_audience_takes_away():
    """A token for no audience in particular is good in more places than one for the first audience."""
    anywhere = ClientMetadata(scope="read")
    assert takes_away(anywhere, ClientMetadata(scope="read", audiences=(API,)))


def test_a_served_audience_less_takes_away():
    """A resource server that serves fewer audiences has lost a right."""
    both = ClientMetadata(serves=(API, OTHER))
    assert takes_away(both, ClientMetadata(serves=(OTHER,)))
    assert not takes_away(both, ClientMetadata(serves=(OTHER, API)))


def test_a_change_that_fails_changes_nothing(stores, billing):
    """A change that raises leaves client and tokens as they were."""

    def fail(_):
        raise InvalidClientMetadata("no")

    with pytest.raises(InvalidClientMetadata):
        stores.clients.change("billing", fail, now, lasting=LASTING)
    with pytest.raises(InvalidClientMetadata, match="does not match token_endpoint_auth_method"):
        changed(
            stores,
            token_endpoint_auth_method="none",
            tls_client_certificate_bound_access_tokens=True,
        )
    assert stores.clients.find("billing") == billing
    assert stores.revocations.newest() == 0


def test_changes_at_once_lose_nothing(stores, billing, open_again):
    """Changes that several processes make at the same time are all there: each begins with the last one."""
    processes = [open_again() for _ in range(8)]

    def widen(number):
        def one_more(before):
            return structs.replace(before, scope=f"{before.scope} {number}")

        processes[number].clients.change("billing", one_more, now, lasting=LASTING)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(widen, range(8)))
    assert open_again().clients.find("billing").metadata.scopes == {"read", "write", *"01234567"}


@pytest.mark.parametrize("name", ["nosuch", "", "a/b", "a\0b"])
def test_who_is_not_registered_is_not_changed(stores, name):
    """A name that no client has changes nothing."""
    assert stores.clients.change(name, lambda _: METADATA, now, lasting=LASTING) is None
    assert stores.clients.all() == []


def test_the_process_that_registers_a_name_anew_forgets_who_had_it(stores, billing, open_again):
    """A client registered under a name that another process has just freed is found as it is, at once."""
    elsewhere = open_again()
    assert elsewhere.clients.find("billing") == billing
    remove(stores, "billing")
    anew = elsewhere.clients.add("billing", METADATA, secret="another" * 4, now=NOW)
    assert elsewhere.clients.find("billing") == anew


def test_a_change_elsewhere_is_known_within_a_second(stores, billing, open_again):
    """A process that has just seen a client knows of its lost right a second later at most."""
    elapsed = [0.0]
    seeing = ClientStore(open_again().database, monotonic=lambda: elapsed[0])
    assert seeing.find("billing").metadata.scope == "read write"
    changed(stores, scope="read")
    elapsed[0] = MEMORY_SECONDS
    assert seeing.find("billing").metadata.scope == "read"


def test_decisions_that_others_need_stay(stores, billing):
    """Reaching a little beyond now, a revocation drops no decision that has not ended yet."""
    ends = NOW + MARGIN_SECONDS
    stores.revocations.revoke("token", "A" * 22, now=NOW, expires_at=ends)
    remove(stores, "billing")
    with stores.database.reading() as connection:
        kinds = connection.execute(select(revocations.c.kind)).scalars().all()
    assert sorted(kinds) == ["client", "token"]
