"""Limits on attempts: a lock-out costs an attacker its guesses, and a client nothing."""

from itertools import count

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.errors import SettingsError, TooManyRequests
from macaroon_cbat.service.throttle.attempts import LOGINS, REGISTRATIONS
from macaroon_cbat.service.throttle.redis_counters import RedisCounters
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from macaroon_cbat.service.throttle.throttle import Throttle
from tests.support.audit_events import events
from tests.support.clock import Clock
from tests.support.counters import counts, difference
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, SECRETS, basic, client_metadata, refused
from tests.support.tokens import came_from

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.9"
WRONG = "w" * 20
NUMBERS = count()


def ask(service, client="billing", secret=WRONG, address=HERE, path="/oauth2/token", **headers):
    return service.app.test_client().post(
        path,
        data={**GRANT_TYPE, "token": "x"},
        headers={"Authorization": basic(client, secret), **headers},
        environ_overrides={PEER_CERTIFICATE: None, **came_from(address)},
    )


def guess(service, times, **asked):
    """Return the statuses of as many guesses, each another one unless a secret is named."""
    if "secret" in asked:
        return [ask(service, **asked).status_code for _ in range(times)]
    return [ask(service, secret=f"{WRONG}{next(NUMBERS)}", **asked).status_code for _ in range(times)]


@pytest.mark.parametrize("path", ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"])
def test_wrong_secrets_lock_the_pair(service, path):
    """After ten wrong secrets no secret of this client is judged from this address, the right one too."""
    assert guess(service, 10, path=path) == [401] * 10
    answer = ask(service, secret=SECRETS["billing"], path=path)
    assert "too many attempts: wait" in refused(answer, 429, "too_many_requests")
    assert 0 < int(answer.headers["Retry-After"]) <= 300


def test_one_wrong_secret_is_one_guess(service):
    """A program that repeats its old secret is let in as soon as it has the new one."""
    assert guess(service, 30, secret=WRONG) == [401] * 30
    assert ask(service, secret=SECRETS["billing"]).status_code == 200


def test_the_victim_works_elsewhere(service):
    """An attacker locks a client at its own address alone: the client is let in at any other."""
    guess(service, 30)
    assert ask(service, secret=SECRETS["billing"], address=ELSEWHERE).status_code == 200


def test_other_clients_work_there(service):
    """A locked pair says nothing of other clients at the same address."""
    guess(service, 30)
    assert ask(service, "reporting", SECRETS["payroll"]).status_code == 401
    assert ask(service, "payroll", SECRETS["payroll"]).status_code == 200


def test_a_client_that_has_authenticated_has_patience(service):
    """An attacker behind the gateway of a client does not lock it out by ten guesses."""
    right = {"secret": SECRETS["payroll"], "client": "payroll"}
    assert ask(service, **right).status_code == 200
    assert guess(service, 99, client="payroll") == [401] * 99
    assert ask(service, **right).status_code == 200
    assert guess(service, 2, client="payroll") == [401, 429]
    assert ask(service, **right).status_code == 429


def test_an_unknown_client_is_locked_as_a_known_one(service):
    """A lock-out does not tell which clients exist."""
    assert guess(service, 11, client="stranger") == guess(service, 11, client="billing")


def test_a_certificate_is_never_locked(service, certificate):
    """A client that authenticates by its certificate cannot be guessed, and is not locked."""
    method = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
    metadata = client_metadata(certificates=(certificate.thumbprint,), **method)
    service.stores.clients.add("mutual", metadata, secret=None, now=NOW)
    guess(service, 30, client="mutual")
    form = {**GRANT_TYPE, "client_id": "mutual"}
    answer = service.app.test_client().post(
        "/oauth2/token", data=form, environ_overrides={PEER_CERTIFICATE: certificate.der, **came_from(HERE)}
    )
    assert answer.status_code == 200


def test_an_untrusted_header_makes_no_other_address(service):
    """An attacker cannot change its address by a header: no proxy is trusted here."""
    for number in range(10):
        shown = {"X-Forwarded-For": f"203.0.113.{number}", "Forwarded": f"for=203.0.113.{number}"}
        ask(service, secret=f"{WRONG}{number}", **shown)
    assert ask(service, **{"X-Forwarded-For": "203.0.113.99"}).status_code == 429


PROXY = "10.0.0.7"
SEEN: dict[str, tuple[str, str, int]] = {
    "behind the trusted proxy, whose address is all that is known": (PROXY, PROXY, 401),
    "behind the trusted proxy, as ProxyFix shows it": (PROXY, HERE, 429),
    "an address that an untrusted sender wrote": (HERE, ELSEWHERE, 429),
}


@pytest.mark.parametrize(("sender", "shown", "status"), SEEN.values(), ids=SEEN)
def test_clients_behind_a_proxy_do_not_lock_each_other(start, certificate, sender, shown, status):
    """Attempts count for a client's own address, and never for that of a proxy, which all clients share."""
    service = start(
        certificate_source=Forwarded("haproxy-sha256", trust=trusted_proxies([PROXY])),
        throttle=ThrottleSettings(lockout_failures=3),
    )

    def attempt(secret: str, address: str) -> int:
        environ = {**came_from(sender), "REMOTE_ADDR": address}
        headers = {"Authorization": basic("billing", secret), "Clientcertx5t": certificate.thumbprint}
        client = service.app.test_client()
        return client.post(
            "/oauth2/token", data=GRANT_TYPE, headers=headers, environ_overrides=environ
        ).status_code

    assert [attempt(f"{WRONG}{number}", shown) for number in range(4)][-1] == status
    assert attempt(SECRETS["billing"], "203.0.113.5") == (429 if sender == HERE else 200)


def test_an_address_that_fails_too_often_waits(start):
    """An address that fails with one client after the other is refused before any secret is judged."""
    service = start(throttle=ThrottleSettings(address_failures=20))
    assert ask(service, "payroll", SECRETS["payroll"]).status_code == 200
    for number in range(20):
        assert ask(service, f"client-{number}").status_code == 401
    assert ask(service, "client-20").status_code == 429
    assert ask(service, "reporting", SECRETS["reporting"]).status_code == 429
    assert ask(service, "payroll", SECRETS["payroll"]).status_code == 200
    assert ask(service, "client-20", address=ELSEWHERE).status_code == 401


def test_successes_are_not_limited_by_default(service):
    """A client that has the right to tokens gets as many as it asks for."""
    assert guess(service, 200, secret=SECRETS["billing"]) == [200] * 200


def test_successes_are_limited_where_the_operator_says(start):
    """With a limit for clients, one client's requests end, and no other's."""
    service = start(throttle=ThrottleSettings(client_requests=3))
    assert guess(service, 4, secret=SECRETS["billing"]) == [200, 200, 200, 429]
    assert ask(service, secret=SECRETS["billing"], address=ELSEWHERE).status_code == 429
    assert ask(service, "payroll", SECRETS["payroll"]).status_code == 200


def test_limits_of_zero_are_none(start):
    """An operator whose proxy limits attempts switches these limits off."""
    off = dict.fromkeys(("lockout_failures", "address_failures", "public_requests", "logins"), 0)
    service = start(throttle=ThrottleSettings(registrations=0, **off))
    assert guess(service, 310) == [401] * 310
    assert ask(service, secret=SECRETS["billing"]).status_code == 200


def test_pages_are_limited(start):
    """Pages of people, which need no client, are limited by address."""
    service = start(throttle=ThrottleSettings(logins=2))
    client = service.app.test_client()
    statuses = [
        client.get("/oauth2/authorize", environ_overrides=came_from(HERE)).status_code for _ in range(3)
    ]
    assert statuses[-1] == 429
    assert 429 not in statuses[:2]


def test_registrations_without_an_invitation_are_limited(start):
    """A client that shows no invitation registers a few times in an hour; an invited one is not counted."""
    service = start(throttle=ThrottleSettings(registrations=2))
    client = service.app.test_client()

    def register(**headers: str) -> int:
        return client.post(
            "/oauth2/register", json={}, headers=headers, environ_overrides=came_from(HERE)
        ).status_code

    assert [register(Authorization="Bearer x") for _ in range(5)] == [401] * 5
    assert [register() for _ in range(3)] == [401, 401, 429]


@pytest.mark.parametrize("header", ["Basic eDp5", "Digest x", ""])
def test_a_header_without_a_macaroon_is_no_invitation(start, header):
    """A client that sends other credentials is counted as one without an invitation, which it is."""
    service = start(throttle=ThrottleSettings(registrations=1))
    headers = {"Authorization": header}
    asked = {"json": {}, "headers": headers, "environ_overrides": came_from(HERE)}
    statuses = [service.app.test_client().post("/oauth2/register", **asked).status_code for _ in range(2)]
    assert statuses == [401, 429]


def test_no_password_of_redis_is_shown():
    """The URL of Redis, which may hold a password, is not shown with the settings."""
    assert "sesame" not in repr(ThrottleSettings(limits_storage="redis://:sesame@localhost"))
    with pytest.raises(SettingsError) as refusal:
        RedisCounters("redis://:sesame/x@localhost:port")
    assert "sesame" not in str(refusal.value)


def test_limited_views_exist(service):
    """Each view that the limits name is one of the service's own."""
    routed = set(service.app.view_functions)
    assert {"authorize"} <= routed & LOGINS
    assert routed >= REGISTRATIONS


def test_a_lock_is_audited_and_counted(audited, file):
    """A lock is one audit line and one count; each refused attempt is one line of its own kind."""
    before = counts()
    guess(audited, 12)
    kinds = [line["event"] for line in events(file)]
    assert kinds == ["token.refused"] * 9 + ["client.locked", "token.refused"] + ["rate.limited"] * 2
    assert difference(before)["clients_locked_total",] == 1
    [locked] = [line for line in events(file) if line["event"] == "client.locked"]
    assert (locked["client_id"], locked["address"]) == ("billing", HERE)


def locked(throttle, client="billing", address=HERE):
    try:
        throttle.refuse_guessing(client, address)
    except TooManyRequests as error:
        return error.retry_after
    return None


def fail(throttle, times, client="billing", address=HERE):
    for _ in range(times):
        throttle.failed(client, address, secret=f"{WRONG}{next(NUMBERS)}")


def test_a_lock_ends():
    """A lock ends with its window, and Retry-After says when."""
    clock = Clock()
    throttle = Throttle(ThrottleSettings(lockout_failures=3, lockout_seconds=60), monotonic=clock)
    fail(throttle, 3)
    clock.now += 59.5
    assert locked(throttle) == 1
    clock.now += 0.5
    assert locked(throttle) is None


PLACES = {
    "another IPv4 address": ("192.0.2.7", "192.0.2.8", False),
    "an IPv4 address as IPv6": ("192.0.2.7", "::ffff:192.0.2.7", True),
    "the same IPv6 network": ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
    "another IPv6 network": ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
    "a Unix socket": ("unix", "unix", False),
    "an unknown address": (None, None, False),
}


@pytest.mark.parametrize(("first", "second", "is_same"), PLACES.values(), ids=PLACES)
def test_an_address_is_what_one_client_has(first, second, is_same):
    """Limits know an IPv6 client by its network of 64 bits; one whose address is unknown is not limited."""
    throttle = Throttle(ThrottleSettings(lockout_failures=3))
    fail(throttle, 3, address=first)
    assert (locked(throttle, address=second) is not None) is is_same


def test_one_site_does_not_register_for_all():
    """The networks of 64 bits within one of 48 register together as often as ten addresses."""
    throttle = Throttle(ThrottleSettings(registrations=1))
    for number in range(10):
        throttle.registration(f"2001:db8:0:{number:x}::1")
    with pytest.raises(TooManyRequests, match="2001:db8::/48"):
        throttle.registration("2001:db8:0:ffff::1")
    throttle.registration("2001:db8:1::1")
    for number in range(20):
        throttle.registration(f"192.0.2.{number}")


def test_one_place_does_not_use_up_what_its_neighbours_may_register():
    """A network of 64 bits that goes beyond its own limit takes nothing from the others of its 48 bits."""
    throttle = Throttle(ThrottleSettings(registrations=1))
    throttle.registration("2001:db8::1")
    for _ in range(20):
        with pytest.raises(TooManyRequests, match="2001:db8::/64"):
            throttle.registration("2001:db8::1")
    throttle.registration("2001:db8:0:1::1")


UNUSABLE = [{"lockout_seconds": 0}, {"lockout_seconds": 86_401}, {"logins": -1}, {"registrations": 10**9}]


@pytest.mark.parametrize("changes", UNUSABLE, ids=str)
def test_an_unusable_limit_is_refused(changes):
    """A limit out of range is a SettingsError."""
    with pytest.raises(SettingsError):
        ThrottleSettings(**changes)
