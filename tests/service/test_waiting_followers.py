"""Followers that wait: one look serves all, and none learns of anything once its right is lost."""

import time
from contextlib import closing

import pytest

from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.server.parking import ParkedResponse
from macaroon_cbat.stores.revocations import record
from tests.support.databases import NOW
from tests.support.lost_rights import LOSSES
from tests.support.resource_server import register, rewritten, token_for_service
from tests.support.service import API, ISSUER, OTHER_API
from tests.support.tls_servers import wait_until
from tests.support.waiting_followers import WaitingFollowers

HOLDS = pytest.param(False, id="in a thread")
PARKS = pytest.param(True, id="parked")


def register_all(service):
    register(service, "invoices", serves=(API,))
    register(service, "both", serves=(API, OTHER_API, ISSUER))
    return service


@pytest.fixture(params=[HOLDS, PARKS])
def followers(request, on_each_database, certificate):
    found = WaitingFollowers(register_all(on_each_database), certificate, parks=request.param)
    yield found
    found.close()


@pytest.fixture(params=[HOLDS, PARKS])
def on_sqlite(request, service, certificate):
    found = WaitingFollowers(register_all(service), certificate, parks=request.param)
    yield found
    found.close()


@pytest.fixture
def parked(service, certificate):
    found = WaitingFollowers(register_all(service), certificate, parks=True)
    yield found
    found.close()


def held(service, certificate):
    return closing(WaitingFollowers(register_all(service), certificate, parks=False))


def revoke(followers, *names, kind="token", audience=API):
    for name in names:
        times = {"now": NOW, "expires_at": NOW + 600}
        followers.service.stores.revocations.revoke(kind, name, audience=audience, **times)


def test_a_revocation_ends_the_waits_that_it_concerns(followers):
    """Each follower that waits gets the decision; one of other audiences goes on waiting."""
    register(followers.service, "others", serves=(OTHER_API,))
    waiting = [followers.begin(), followers.begin(), followers.begin(client="both")]
    other = followers.begin(client="others")
    revoke(followers, "soon")
    assert [one.values() for one in waiting] == [["soon"]] * 3
    assert not other.ends.done()
    _, page = waiting[0].answer()
    assert page["is_last"]
    assert followers.ask(page["cursor"]).json["decisions"] == []
    revoke(followers, "all", kind="client", audience=None)
    assert other.values() == ["all"]


def test_followers_of_one_view_share_a_page(parked):
    """A page is made once for all that stand at one cursor of the same audiences."""
    waiting = [parked.begin() for _ in range(3)]
    revoke(parked, "soon")
    assert [one.values() for one in waiting] == [["soon"]] * 3
    bodies = {id(one.parked.answer.body) for one in waiting}
    assert len(bodies) == 1


def test_a_wait_in_vain_passes_what_concerns_others(parked):
    """A wait that ends in vain has its cursor beyond the decisions about others, as of the last look."""
    waiting = parked.begin()
    revoke(parked, "elsewhere", audience=OTHER_API)
    newest = parked.service.stores.revocations.newest()
    wait_until(lambda: parked.registered.position == newest)
    waiting.end()
    assert waiting.values() == []
    assert waiting.answer()[1]["cursor"].endswith(f".{newest}")
    assert len(parked.registered) == 0


def test_a_server_that_stops_ends_each_wait(parked):
    """The end of a wait is told at the place where it began, if nothing was revoked."""
    waiting = parked.begin()
    _, _, began_at = parked.ask().json["cursor"].partition(".")
    waiting.end()
    _, page = waiting.answer()
    assert (page["cursor"].partition(".")[2], page["is_last"], page["decisions"]) == (began_at, True, [])


def test_a_wait_by_real_clocks_is_no_longer_than_asked(service, certificate):
    """A wait takes at least four fifths of the seconds that it names."""
    with held(service, certificate) as followers:
        begun = time.monotonic()
        assert followers.begin(wait=1).values() == []
        assert time.monotonic() - begun >= 0.8


def test_only_so_many_hold_a_thread(service, certificate):
    """A request that finds no thread to wait in is answered at once; the others wait on."""
    with held(service, certificate) as followers:
        waiting = [followers.begin() for _ in range(4)]
        assert followers.begin().values() == []
        assert not any(one.ends.done() for one in waiting)
        revoke(followers, "soon")
        assert [one.values() for one in waiting] == [["soon"]] * 4


def test_parked_followers_hold_no_thread(parked):
    """More followers wait than may hold a thread, and each hears."""
    waiting = [parked.begin() for _ in range(6)]
    revoke(parked, "soon")
    assert [one.values() for one in waiting] == [["soon"]] * 6


def test_a_client_that_goes_before_it_waits_is_not_kept(parked):
    """A server that ends a wait while it begins leaves no follower behind."""
    gone = []

    def park(seconds, on_end, holder=""):
        gone.append(ParkedResponse(seconds, on_end, lambda: None))
        gone[0].end_wait()
        return gone[0]

    assert parked.ask_to_wait(park) == []
    assert (len(gone), len(parked.registered)) == (1, 0)


def test_a_request_without_a_place_is_answered_at_once(parked):
    """A server that parks no more responses has the page sent as it is now."""
    [(status, page)] = parked.ask_to_wait(lambda _seconds, _on_end, _holder="": None)
    assert (status, page["is_last"], page["decisions"], page["complete_after"]) == ("200 OK", True, [], 0)
    assert len(parked.registered) == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_lost_right_ends_a_wait_without_news(on_sqlite, loss):
    """A follower that loses its right while it waits learns nothing, and is refused."""
    token = token_for_service(on_sqlite.service, "invoices")
    waiting = on_sqlite.begin(token=token)
    LOSSES[loss](on_sqlite.service, token)
    status, told = waiting.answer()
    again = on_sqlite.ask(after=told.get("cursor", "0"), token=token)
    refused = again.status_code if on_sqlite.parks else status
    assert refused in (400, 401, 403)
    assert told.get("decisions", []) == []
    assert told.get("complete_after", 0) == 0


@pytest.mark.parametrize("kind", ["client", "certificate"])
def test_what_comes_with_the_loss_of_a_right_is_not_told(on_sqlite, kind):
    """Revocations of the very transaction that takes the right away are kept from its follower."""
    waiting = on_sqlite.begin()
    name = {"client": "invoices", "certificate": on_sqlite.certificate.thumbprint}[kind]
    times = {"revoked_at": NOW + 2, "expires_at": NOW + 600}
    with on_sqlite.service.stores.database.writing() as writer:
        record(writer, Revocation(kind=kind, value=name, **times))
        record(writer, Revocation(kind="token", value="news", **times), API)
    status, told = waiting.answer()
    assert "news" not in str(told)
    assert (status, told.get("decisions")) in [(200, []), (401, None)]


def test_a_change_of_another_client_ends_no_wait(parked):
    """The look at the registrations ends the waits of the changed client alone."""
    waiting, other = parked.begin(), parked.begin(client="both")
    rewritten(parked.service, "both", scope="read keys", serves=(API,))
    assert other.values() == []
    assert not waiting.ends.done()
