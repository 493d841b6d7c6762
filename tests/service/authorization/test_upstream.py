"""The requests to the provider: how often, and how many at a time."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from joserfc.jwk import ECKey

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.people import LoginRefused, LoginUnavailable
from macaroon_cbat.service.authorization import upstream as upstream_requests
from macaroon_cbat.service.authorization.login import Login
from macaroon_cbat.service.authorization.upstream import KEPT_SECONDS, RETRY_SECONDS, Upstream
from tests.support.clock import Clock
from tests.support.databases import NOW
from tests.support.service import ISSUER

TWO = {"kid": "two"}


@pytest.fixture(autouse=True)
def _no_hurry(monkeypatch) -> None:
    """Let no request to a provider that is held back end before the test lets it."""
    for name in ("_WAIT", "_LONGEST"):
        monkeypatch.setattr(upstream_requests, name, 60.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def login(service, upstream, clock) -> Login:
    """Return the logins of a service that has read nothing of the provider yet."""
    settings = upstream.settings()
    return Login(Upstream(settings, clock, patience=0.01), settings, service.stores.expiring, ISSUER)


@pytest.fixture
def logged_in(login, upstream) -> Callable[[], str]:
    """Return a whole login, from its beginning to the subject."""

    def whole() -> str:
        back = upstream.log_in(login.begin("a-browser", "/then", (), None, NOW))
        with Flask(__name__).test_request_context(query_string=urlsplit(back).query):
            return login.end(request, "a-browser", NOW)[0].subject

    return whole


def looks(upstream) -> int:
    """Return how often the keys were read."""
    return len([one for one in upstream.asked if one.get("path") == "/keys"])


def test_the_document_is_read_once_an_hour(logged_in, upstream, clock):
    """Document and keys are read at the first login, and once an hour after it."""
    assert {logged_in() for _ in range(3)} == {"user:alice"}
    assert looks(upstream) == 1
    clock.now += KEPT_SECONDS
    logged_in()
    assert looks(upstream) == 2


def test_a_rotated_key_is_found(logged_in, upstream, clock):
    """A token of a key that is not known makes the service read the keys anew, and the login succeeds."""
    logged_in()
    upstream.key = ECKey.generate_key("P-256", TWO)
    clock.now += RETRY_SECONDS
    assert logged_in() == "user:alice"
    assert looks(upstream) == 2


def test_an_unknown_key_is_looked_up_seldom(logged_in, upstream, clock):
    """Tokens of unknown keys make the service read the keys once in some seconds at most."""
    logged_in()
    upstream.faults.update(header=TWO, signer=ECKey.generate_key("P-256", TWO))
    clock.now += RETRY_SECONDS
    for _ in range(3):
        with pytest.raises(LoginRefused, match="not among the keys"):
            logged_in()
    assert looks(upstream) == 2


def test_a_revoked_key_is_forgotten(logged_in, upstream, clock):
    """A key that the provider no longer publishes verifies nothing after an hour."""
    logged_in()
    old, upstream.key = upstream.key, ECKey.generate_key("P-256", TWO)
    upstream.faults.update(header={"kid": "one"}, signer=old)
    clock.now += KEPT_SECONDS
    with pytest.raises(LoginRefused, match="not among the keys"):
        logged_in()


def test_an_outage_is_over_when_it_is_over(logged_in, upstream, clock):
    """A provider that failed is asked again after some seconds, and not before."""
    upstream.faults["/keys"] = (500, {}, b"{}")
    for _ in range(3):
        with pytest.raises(LoginUnavailable):
            logged_in()
    assert looks(upstream) == 1
    upstream.faults.clear()
    clock.now += RETRY_SECONDS
    assert logged_in() == "user:alice"


def test_old_keys_do_not_outlive_an_outage(logged_in, upstream, clock):
    """Keys that cannot be read anew after an hour verify nothing: one of them may be revoked."""
    logged_in()
    upstream.faults["/keys"] = (500, {}, b"{}")
    clock.now += KEPT_SECONDS
    for _ in range(2):
        with pytest.raises(LoginUnavailable):
            logged_in()


def test_a_hanging_provider_holds_few_threads(login, upstream, clock):
    """Logins that wait for the provider are few: the others are told to come back, and hold no thread."""
    provider = login.upstream.provider()
    is_released = threading.Event()
    upstream.faults["hold"] = is_released
    waiting = [threading.Thread(target=lambda: _failed(login, provider), daemon=True) for _ in range(3)]
    for one in waiting:
        one.start()
    upstream.held.acquire()
    upstream.held.acquire()
    upstream.held.acquire()
    with pytest.raises(LoginUnavailable, match="too many logins"):
        login.upstream.id_token(provider, "x", "y", "z")
    is_released.set()
    for one in waiting:
        one.join()


def test_a_hanging_provider_makes_few_wait(upstream, clock):
    """Few threads wait for their turn at a provider that hangs; the others are free at once."""
    patient = Upstream(upstream.settings(), clock, patience=60)
    provider = patient.provider()
    is_released = threading.Event()
    upstream.faults["hold"] = is_released
    told: queue.Queue[str] = queue.Queue()

    def ask() -> None:
        with pytest.raises(LoginUnavailable) as caught:
            patient.id_token(provider, "x", "y", "z")
        told.put(str(caught.value))

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(8)]
    for one in threads:
        one.start()
    assert all("too many logins" in told.get(timeout=60) for _ in range(3))
    is_released.set()
    for one in threads:
        one.join()
    assert all("answered 400" in told.get_nowait() for _ in range(5))


@pytest.fixture
def held(upstream, monkeypatch) -> tuple[threading.Event, threading.Event]:
    """Hold the provider's document back: return the events that it is being read, and that it may be."""
    is_read, is_released, document = threading.Event(), threading.Event(), upstream.document()

    def later() -> dict[str, Any]:
        is_read.set()
        is_released.wait(60)
        return document

    monkeypatch.setattr(upstream, "document", later)
    return is_read, is_released


def test_logins_go_on_while_the_document_is_read_anew(upstream, clock, held):
    """While one login reads the document after an hour, the others go on with the one that is known."""
    is_read, is_released = held
    ours = Upstream(upstream.settings(), clock)
    is_released.set()
    known = ours.provider()
    clock.now += KEPT_SECONDS
    is_released.clear()
    is_read.clear()
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(ours.provider)
        is_read.wait(60)
        assert ours.provider() is known
        is_released.set()
        assert first.result(60) is not known


def test_first_logins_wait_for_the_document(upstream, clock, held):
    """Of several first logins at once one reads the document, and the others wait for it."""
    is_read, is_released = held
    ours = Upstream(upstream.settings(), clock, patience=60)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(ours.provider)
        is_read.wait(60)
        threading.Timer(0.1, is_released.set).start()
        assert ours.provider() is first.result(60)
    assert looks(upstream) == 1


def _failed(login, provider) -> None:
    with pytest.raises(LoginUnavailable):
        login.upstream.id_token(provider, "x", "y", "z")


def test_a_provider_of_another_ca_is_met_with_the_setting(upstream, clock):
    """The line about a certificate of an unknown CA names the setting, as no option is there to give."""
    asking = Upstream(upstream.settings(upstream_ca=None), clock)
    with pytest.raises(LoginUnavailable, match=r"no CA that is trusted here: .* MACAROON_CBAT_UPSTREAM_CA"):
        asking.provider()


def test_an_unusable_ca_names_its_setting(upstream, tmp_path):
    """A file of CAs that cannot be loaded is a SettingsError that names the setting."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_UPSTREAM_CA: cannot load"):
        Upstream(upstream.settings(upstream_ca=tmp_path))
