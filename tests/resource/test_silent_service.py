"""A service that does not answer holds few requests, and no honest one whose key is known."""

import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from macaroon_cbat.errors import SettingsError, Unavailable, UnknownKey
from macaroon_cbat.macaroon.keys import write_key_file
from macaroon_cbat.resource import Introspection, KeyFeed, ServiceConnection
from tests.support.feeds import Feeding
from tests.support.guarded_app import bound, call, make_app
from tests.support.silent_services import TEMPERS, Silent, Temper, at_each_temper, silent_service
from tests.support.tls_servers import make_client, wait_until
from tests.support.tokens import ACCESS, API, GRANT, ISSUER, KEYS, grant

FLOOD = 40


def feed_of(
    service: Silent, folder: Path, monotonic: Callable[[], float] = time.monotonic, **settings: object
) -> KeyFeed:
    """Return a feed that knows the key of honest tokens from its snapshot."""
    snapshot = folder / "keys.json"
    keys = type(KEYS)(service.url, API, KEYS.keys)
    snapshot.write_bytes(write_key_file(keys))
    connection = ServiceConnection(
        service.url, "api", "s3cret", certificate=make_client(folder, "api").file, ca=service.ca, **settings
    )
    return KeyFeed(connection, API, snapshot=snapshot, monotonic=monotonic)


def in_threads(count: int, do: Callable[[int], object]) -> tuple[list[threading.Thread], list[object]]:
    """Start so many threads that do this; return them, and the list in which their results come."""
    results: list[object] = []

    def run(number: int) -> None:
        try:
            results.append(do(number))
        except Exception as error:  # noqa: BLE001 # the error is the result
            results.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    return threads, results


@pytest.mark.parametrize("temper", TEMPERS, ids=lambda temper: temper.__name__)
def test_one_request_asks_for_unknown_keys(tmp_path: Path, temper: Temper):
    """Of a flood of tokens with unknown keys one asks at most, the others are 503, and known keys pass."""
    with silent_service(tmp_path, temper) as service:
        # A minute passes between two looks at this clock: the first keys are waited for no more.
        feed = feed_of(service, tmp_path, itertools.count(0, 60).__next__, timeout=6)
        threads, results = in_threads(FLOOD, lambda number: feed.key_for(grant(kid=f"invented-{number}")))
        wait_until(lambda: len(results) >= FLOOD - 1 and len(service.asked) == 1)
        assert {type(result) for result in results} == {Unavailable}
        assert feed.key_for(GRANT).kid == "k1", "an honest token waits for nothing"
        for thread in threads:
            thread.join()
        assert len(service.asked) == 1


def test_the_first_keys_are_waited_for(feeding: Feeding):
    """The first requests of a process wait for the keys that one of them asks for, and all pass."""
    # This clock goes back: the others wait for the keys as long as it takes, and not for 2 s.
    feed = feeding.keys(monotonic=itertools.count(10**6, -60).__next__)
    app, token = make_app(keys=feed, clock=time.time), feeding.token()
    threads, results = in_threads(8, lambda _: call(app, token).status_code)
    for thread in threads:
        thread.join()
    assert results == [200] * 8


def test_invented_keys_leave_nothing_behind(feeding: Feeding):
    """Keys that do not exist are not remembered: a flood of them costs no memory, and one question."""
    feed = feeding.keys()
    with pytest.raises(UnknownKey):
        feed.key_for(grant(kid="first"))
    before = {name: repr(value) for name, value in vars(feed).items()}
    for number in range(1000):
        with pytest.raises(UnknownKey):
            feed.key_for(grant(kid=f"invented-{number}"))
    assert {name: repr(value) for name, value in vars(feed).items()} == before


def test_introspection_holds_few_requests(tmp_path: Path):
    """While the service is silent `most_asking` requests wait, later one; all others are 503 at once.

    A service of each temper is asked at the same time: each makes the test wait for patience and a timeout.
    """
    assert at_each_temper(tmp_path, _holds_few) == ["held two, then one"] * len(TEMPERS)


def _holds_few(folder: Path, temper: Temper) -> str:
    with silent_service(folder, temper) as service:
        settings = {"ca": service.ca, "most_asking": 2}
        app = make_app(verifier=Introspection(service.url, API, "api", "s3cret", timeout=600, **settings))
        _holds(service, app, 2)
        _holds(service, app, 1)  # it is known to be silent
        app = make_app(verifier=Introspection(service.url, API, "api", "s3cret", timeout=1, **settings))
        _, results = in_threads(1, lambda _: call(app, bound()).status_code)
        wait_until(lambda: results == [503])
    return "held two, then one"


def _holds(service: Silent, app: Flask, number: int) -> None:
    """Assert that of a flood so many requests ask, and are held as long as the service is silent."""
    asked = len(service.asked) + number
    threads, results = in_threads(FLOOD, lambda _: call(app, bound()).status_code)
    wait_until(lambda: len(results) >= FLOOD - number and len(service.asked) >= asked)
    assert results == [503] * (FLOOD - number)
    service.break_off()
    for thread in threads:
        thread.join()
    assert results == [503] * FLOOD
    assert len(service.asked) == asked


def test_a_service_that_answers_again_is_asked_by_all(tmp_path: Path):
    """One answer ends the silence, and as many as before ask at once."""
    is_awake = threading.Event()

    def temper(service: Silent, connection) -> None:
        service.read(connection)
        if is_awake.is_set():
            body = json.dumps({"active": True, "jti": GRANT.jti}).encode()
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    with silent_service(tmp_path, temper) as service:
        asking = Introspection(service.url, API, "api", "s3cret", ca=service.ca, most_asking=4)
        with pytest.raises(Unavailable):
            asking.verify(bound(), ACCESS, require_certificate=True)
        is_awake.set()
        app = make_app(verifier=asking)
        assert call(app, bound()).status_code == 200
        threads, results = in_threads(4, lambda _: call(app, bound()).status_code)
        for thread in threads:
            thread.join()
        assert results == [200] * 4


def test_no_places_is_a_settings_error():
    """At least one request may introspect."""
    with pytest.raises(SettingsError, match="most_asking must be at least 1"):
        Introspection(ISSUER, API, "a", "b", most_asking=0)
