"""An event loop never waits for another machine: what would wait is judged in a thread, the rest in place."""

import asyncio
import os
import signal
import threading
import time
import warnings

import pytest

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource import Introspection, asgi
from macaroon_cbat.resource.blocking import MustBlock, NeverBlocking, about_to_block
from macaroon_cbat.resource.blocking_pool import MAX_WAITING
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.settings import make_admission
from macaroon_cbat.resource.verifier import OfflineVerifier
from tests.support.adapters import ASYNC, Asked, exchange, scope_of
from tests.support.broken_services import broken_services
from tests.support.counters import counts, difference
from tests.support.guarded_app import bound
from tests.support.ports import free_port
from tests.support.tokens import ACCESS, API, GRANT, KEYS, access


@pytest.fixture(params=ASYNC.values(), ids=list(ASYNC))
def adapter(request):
    """Each adapter that lives in an event loop."""
    return request.param


class Recorded:
    """Keys, or a verifier, that remember in which thread they were asked."""

    issuer, audience = KEYS.issuer, KEYS.audience

    def __init__(self, **attributes):
        self.threads = []
        self.__dict__ |= attributes

    def key_for(self, unverified, /):
        """Return the key."""
        self.threads.append(threading.current_thread())
        return KEYS.key_for(unverified)


class Waiting(OfflineVerifier):
    """A verifier that waits for another machine before it judges."""

    def __init__(self, wait=lambda: None):
        super().__init__(KEYS)
        self.announces_blocking = True
        self.attempts, self.threads, self.wait = 0, [], wait

    def verify(self, text, access, *, require_certificate, **_):
        """Wait, then judge."""
        self.attempts += 1
        about_to_block()
        self.threads.append(threading.current_thread())
        self.wait()
        return super().verify(text, access, require_certificate=require_certificate)


def test_who_announces_waiting_is_asked_in_place(adapter):
    """Keys that promise to announce waiting, and need not wait, are asked in the event loop's own thread."""
    keys = Recorded(announces_blocking=True)
    assert adapter.call(adapter.make(keys=keys), bound()).status == 200
    assert keys.threads == [threading.main_thread()]


@pytest.mark.parametrize("attributes", [{}, {"announces_blocking": False}, {"announces_blocking": "yes"}])
def test_who_promises_nothing_is_asked_in_a_thread(adapter, attributes):
    """Keys of the deployer's own, which may wait for anything, are never asked in the event loop's thread."""
    keys = Recorded(**attributes)
    assert adapter.call(adapter.make(keys=keys), bound()).status == 200
    [thread] = keys.threads
    assert thread.name.startswith("macaroon_cbat")


def test_what_must_wait_is_judged_again_in_a_thread(adapter, log):
    """A request that would wait is judged in a thread, and counted and logged once."""
    verifier, before = Waiting(), counts()
    app = adapter.make(
        verifier=verifier, certificate_source=lambda _: PresentedCertificate(ignored="a header")
    )
    assert adapter.call(app, bound()).status == 401
    assert (verifier.attempts, len(verifier.threads)) == (2, 1)
    assert verifier.threads[0].name.startswith("macaroon_cbat")
    assert difference(before) == {("certificates_ignored_total",): 1, ("refused_total", "CaveatsNotMet"): 1}
    assert sum(r.getMessage() == "a certificate header is ignored: a header" for r in log.records) == 1


def test_the_event_loop_goes_on_meanwhile():
    """While one request waits, the event loop serves others: the one that lets it go on, here."""
    gate = threading.Event()
    asking = asgi.Guard(verifier=Waiting(gate.wait), clock=lambda: ACCESS.now)
    offline = asgi.Guard(keys=KEYS, clock=lambda: ACCESS.now)
    statuses = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def call(guard):
        async def send(message):
            if "status" in message:
                statuses.append((guard is asking, message["status"]))

        headers = (("Authorization", f"Bearer {bound()}"),)
        await guard.require("read")(app)(scope_of(Asked(headers=headers)), None, send)

    async def both():
        waiting = asyncio.create_task(call(asking))
        await asyncio.sleep(0)
        await call(offline)
        gate.set()
        await waiting

    asyncio.run(both())
    assert statuses == [(False, 200), (True, 200)]


def test_waiting_has_an_end():
    """A request is 503 at once when so many wait already, and those that wait are served in the end."""
    gate, before = threading.Event(), counts()
    rules = make_admission({"verifier": Waiting(gate.wait), "clock": lambda: ACCESS.now})
    headers = (("Authorization", f"Bearer {bound()}"),)
    request = asgi.presented(scope_of(Asked(headers=headers)), rules)

    async def run():
        waiting = [asyncio.create_task(admit(rules, request)) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable, match=f"{MAX_WAITING} requests wait for {KEYS.issuer} already"):
            await admit(rules, request)
        gate.set()
        return await asyncio.gather(*waiting)

    assert {principal.client_id for principal in asyncio.run(run())} == {"billing"}
    assert difference(before) == {
        ("verified_total", "yes", "no"): MAX_WAITING,
        ("unavailable_total", "Unavailable"): 1,
    }
    assert asyncio.run(admit(rules, request)).client_id == "billing"


def test_introspection_does_not_hold_up_the_loop(tmp_path):
    """While the service is slow to answer about a token, everything else in the loop goes on."""
    ticks = []

    async def run(url):
        verifier = Introspection(url, API, "api", "s3cret", ca=tmp_path / "ca.pem", path="/stalling")
        rules = make_admission({"verifier": verifier, "clock": lambda: ACCESS.now})
        headers = (("Authorization", f"Bearer {bound()}"),)
        judging = asyncio.create_task(admit(rules, asgi.presented(scope_of(Asked(headers=headers)), rules)))
        while not judging.done():
            await asyncio.sleep(0.01)
            ticks.append(1)
        return judging.result()

    with broken_services(tmp_path, GRANT.jti) as url:
        assert asyncio.run(run(url)).client_id == "billing"
    assert len(ticks) > 3


def test_a_remembered_answer_is_judged_in_place(tmp_path):
    """Introspection sends no request about a token that it remembers, which need not leave the event loop."""
    with broken_services(tmp_path, GRANT.jti) as url:
        verifier = Introspection(
            url, API, "api", "s3cret", ca=tmp_path / "ca.pem", path="/good", cache_seconds=60
        )
        with NeverBlocking(), pytest.raises(MustBlock):
            verifier.verify(bound(), ACCESS, require_certificate=True)
        verifier.verify(bound(), ACCESS, require_certificate=True)
        with NeverBlocking():
            assert verifier.verify(bound(), ACCESS, require_certificate=True).client_id == "billing"


def test_feeds_wait_once(feeding):
    """Only the first request waits for keys and revocations; from then on they are at hand."""
    verifier = OfflineVerifier(feeding.keys(), feeding.revocations())
    assert verifier.announces_blocking
    text = feeding.token()
    now = access(now=int(time.time()))
    with NeverBlocking(), pytest.raises(MustBlock):
        verifier.verify(text, now, require_certificate=True)
    assert verifier.verify(text, now, require_certificate=True).client_id == "billing"
    with NeverBlocking():
        assert verifier.verify(text, now, require_certificate=True).client_id == "billing"


def test_feeds_let_the_holder_in_through_every_adapter(adapter, feeding):
    """With keys and revocations of the real service, the holder is let in and the thief is not."""
    app = adapter.make(keys=feeding.keys(), revocations=feeding.revocations(), clock=time.time)
    text = feeding.token()
    assert adapter.call(app, text).status == 200
    assert adapter.call(app, text, certificate=b"the thief's").status == 401


def test_who_is_out_of_reach_is_503(adapter, tmp_path):
    """A service that a thread finds out of reach is answered as always: 503."""
    verifier = Introspection(f"https://localhost:{free_port()}", API, "api", "s3cret", timeout=1)
    assert adapter.call(adapter.make(verifier=verifier), bound()).status == 503
    with pytest.raises(Unavailable):
        verifier.verify(bound(), ACCESS, require_certificate=True)


def test_a_forked_process_has_threads_of_its_own():
    """After a fork a request still finds a thread to wait in."""
    app, one = ASYNC["ASGI"].make(verifier=Waiting()), ASYNC["ASGI"]
    assert one.call(app, bound()).status == 200
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # servers fork with threads, so the test does
        child = os.fork()
    if child == 0:
        signal.alarm(60)
        os._exit(0 if one.call(app, bound()).status == 200 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("settings", [{}, {"verifier": Waiting()}], ids=["in place", "in a thread"])
def test_an_application_outlives_its_event_loop(adapter, settings):
    """A guard keeps nothing of the event loop of some requests for those of another loop."""
    app = adapter.make(**settings)
    scope = scope_of(Asked(headers=(("Host", "api.example"), ("Authorization", f"Bearer {bound()}"))))

    async def at_once():
        sent = [[], [], []]
        await asyncio.gather(*(exchange(app, scope, each) for each in sent))
        return [each[0]["status"] for each in sent]

    assert [asyncio.run(at_once()) for _ in range(2)] == [[200] * 3] * 2
