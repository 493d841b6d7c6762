import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.federation import published_keys, reaching
from macaroon_cbat.service.federation.federation import MOST_WAITING_FOR_CLIENTS, federation_of
from macaroon_cbat.service.federation.jwt import read_jwt
from macaroon_cbat.service.federation.published_keys import (
    FRESH_SECONDS,
    MOST_WAITING,
    RETRY_SECONDS,
    ROTATION_SECONDS,
    STALE_SECONDS,
    PublishedKeys,
)
from macaroon_cbat.service.federation.refusals import NoSuchKey, UnacceptableJwt
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.stores.trust import ALGORITHMS
from tests.support.foreign_tokens import ec_key, key_set, public_jwk, signed_jwt

OLD, NEW = ec_key(21), ec_key(22)
OLD_JWK, NEW_JWK = public_jwk(OLD, "old"), public_jwk(NEW, "new")


def a_jwt(key, kid):
    return read_jwt(signed_jwt({"alg": "ES256", "kid": kid}, {"sub": "x"}, key))


BY_OLD, BY_NEW, BY_UNKNOWN = a_jwt(OLD, "old"), a_jwt(NEW, "new"), a_jwt(NEW, "unknown")


class Clock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now


class Keys:
    """The keys of the one issuer, by this clock."""

    def __init__(self, issuer) -> None:
        self.clock, self.issuer = Clock(), issuer
        self.published = PublishedKeys(self.clock.monotonic, patience=60)

    def verify(self, jwt) -> None:
        """Verify a token by the keys of the issuer."""
        self.published.verify(jwt, self.issuer.place(), ALGORITHMS)

    @property
    def fetches(self) -> int:
        """The number of key sets that the issuer has given."""
        return self.issuer.asked.count("/jwks")


@pytest.fixture
def keys(issuer, monkeypatch):
    """Return what remembers the keys of an issuer that publishes an old one, and waits a minute for it."""
    monkeypatch.setattr(reaching, "WAIT_SECONDS", 60)
    monkeypatch.setattr(published_keys, "fetched_key_set", partial(reaching.fetched_key_set, seconds=60))
    issuer.publish("/jwks", key_set(OLD_JWK))
    return Keys(issuer)


def test_keys_are_fetched_once(keys):
    """Keys are fetched at their first use and remembered for minutes."""
    keys.verify(BY_OLD)
    keys.clock.now += FRESH_SECONDS - 1
    keys.verify(BY_OLD)
    assert keys.fetches == 1


def test_a_new_key_is_looked_for(keys):
    """A token by a key that is not known is verified by the keys that the issuer publishes now."""
    keys.verify(BY_OLD)
    keys.issuer.publish("/jwks", key_set(OLD_JWK, NEW_JWK))
    keys.clock.now += ROTATION_SECONDS
    keys.verify(BY_NEW)
    assert keys.fetches == 2


def test_invented_names_of_keys(keys):
    """An attacker who invents names of keys causes one fetch in ROTATION_SECONDS, and no more."""
    keys.verify(BY_OLD)
    keys.clock.now += ROTATION_SECONDS
    for _ in range(5):
        with pytest.raises(NoSuchKey):
            keys.verify(BY_UNKNOWN)
    assert keys.fetches == 2
    keys.clock.now += ROTATION_SECONDS - 1
    with pytest.raises(NoSuchKey):
        keys.verify(BY_UNKNOWN)
    assert keys.fetches == 2


def test_a_forged_signature_causes_no_fetch(keys):
    """A token that names a known key, and is not signed by it, is refused without a fetch."""
    keys.verify(BY_OLD)
    keys.clock.now += ROTATION_SECONDS
    with pytest.raises(UnacceptableJwt):
        keys.verify(a_jwt(NEW, "old"))
    assert keys.fetches == 1


def test_a_withdrawn_key(keys):
    """A key that its issuer withdraws is refused once the keys are no longer fresh."""
    keys.verify(BY_OLD)
    keys.issuer.publish("/jwks", key_set(NEW_JWK))
    keys.clock.now += FRESH_SECONDS
    with pytest.raises(NoSuchKey):
        keys.verify(BY_OLD)
    keys.verify(BY_NEW)


def test_a_key_of_the_same_name(keys):
    """A key that is replaced under its name is refused with the old one's signature."""
    keys.verify(BY_OLD)
    keys.issuer.publish("/jwks", key_set(public_jwk(NEW, "old")))
    keys.clock.now += FRESH_SECONDS
    with pytest.raises(UnacceptableJwt):
        keys.verify(BY_OLD)
    keys.verify(a_jwt(NEW, "old"))


def test_an_issuer_out_of_reach(keys):
    """The keys before are used while their issuer is out of reach, for an hour and no longer."""
    keys.verify(BY_OLD)
    keys.issuer.publish("/jwks", b"", status=503)
    keys.clock.now += STALE_SECONDS - 1
    keys.verify(BY_OLD)
    keys.clock.now += 1
    with pytest.raises(Unavailable):
        keys.verify(BY_OLD)


def test_an_unknown_key_of_an_issuer_out_of_reach(keys):
    """A token by an unknown key is neither refused nor accepted while its issuer is out of reach."""
    keys.verify(BY_OLD)
    keys.issuer.publish("/jwks", b"", status=503)
    keys.clock.now += ROTATION_SECONDS
    for _ in range(3):
        with pytest.raises(Unavailable):
            keys.verify(BY_NEW)
    assert keys.fetches == 2
    keys.verify(BY_OLD)


def test_a_failure_is_remembered(keys):
    """An issuer that failed is asked again after RETRY_SECONDS: until then no thread waits for it."""
    keys.issuer.publish("/jwks", b"", status=500)
    for _ in range(3):
        with pytest.raises(Unavailable):
            keys.verify(BY_OLD)
    assert keys.fetches == 1
    keys.issuer.publish("/jwks", key_set(OLD_JWK))
    keys.clock.now += RETRY_SECONDS
    keys.verify(BY_OLD)


@pytest.mark.parametrize(
    "published",
    [
        {},
        {"keys": []},
        {"keys": "x"},
        {"keys": [7, None, "x", []]},
        key_set({"kty": "oct", "k": "AAAA", "kid": "old"}),
        key_set({**OLD_JWK, "use": "enc"}),
        key_set({**OLD_JWK, "key_ops": ["sign"]}),
        key_set({**OLD_JWK, "d": OLD_JWK["x"]}),
        key_set({**OLD_JWK, "crv": "secp256k1"}),
        key_set({**OLD_JWK, "x": OLD_JWK["y"]}),
        key_set({**OLD_JWK, "kid": 7}),
        key_set({"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "old"}),
        key_set({"kty": "RSA", "n": "____" * 2000, "e": "AQAB", "kid": "old"}),
        key_set({"kty": "OKP", "crv": "X25519", "x": OLD_JWK["x"], "kid": "old"}),
        key_set(*[OLD_JWK] * 65),
    ],
    ids=[
        *("empty", "no-keys", "text", "no-objects", "symmetric", "encryption", "signing", "private"),
        *("curve", "off-curve", "name", "weak", "huge", "agreement", "many"),
    ],
)
def test_a_key_set_without_a_usable_key(keys, published):
    """A key set without a public key for signatures verifies nothing: its issuer may mend it."""
    keys.issuer.publish("/jwks", published)
    with pytest.raises(Unavailable, match="unusable"):
        keys.verify(BY_OLD)


def test_one_malformed_key_among_others(keys):
    """A malformed key does not take the others with it (RFC 7517 5)."""
    keys.issuer.publish("/jwks", key_set({"kty": "EC"}, {"kty": "future"}, OLD_JWK))
    keys.verify(BY_OLD)


def test_threads_fetch_once(keys):
    """Threads that need the first keys at once cause one fetch, and all get them."""
    gate = threading.Event()
    keys.issuer.publish("/jwks", key_set(OLD_JWK), gate=gate)
    verified: list[bool] = []

    def verify() -> None:
        keys.verify(BY_OLD)
        verified.append(True)

    threads = [threading.Thread(target=verify) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert keys.issuer.reached.wait(60)
    gate.set()
    for thread in threads:
        thread.join()
    assert (verified, keys.fetches) == ([True] * 3, 1)


@contextmanager
def hanging(keys, path="/jwks"):
    """Let one thread wait for an issuer that does not answer, until the block ends."""
    gate = threading.Event()
    keys.issuer.publish(path, key_set(OLD_JWK), gate=gate)
    place = keys.issuer.place(path)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(keys.published.key_set, place)
        assert keys.issuer.reached.wait(60)
        keys.issuer.reached.clear()
        try:
            yield place
        finally:
            gate.set()
            first.result()


def test_an_issuer_that_hangs_holds_one_thread(keys):
    """Threads wait for the first second of a fetch: later ones leave the issuer that hangs to one thread."""
    with hanging(keys):
        keys.clock.now += 60  # the patience of this test
        for _ in range(3):
            with pytest.raises(Unavailable, match="being fetched"):
                keys.verify(BY_OLD)
    keys.verify(BY_OLD)
    assert keys.fetches == 1


def test_issuers_that_hang_leave_threads_to_others(keys):
    """A bounded number of places is asked at once: a further one is not, until one of them has answered."""
    with ExitStack() as stack:
        for number in range(MOST_WAITING):
            stack.enter_context(hanging(keys, f"/{number}"))
        with pytest.raises(Unavailable, match="too many"):
            keys.verify(BY_OLD)
        assert keys.fetches == 0
    keys.verify(BY_OLD)


def test_slow_clients_leave_threads_to_issuers(keys, service):
    """Clients that publish keys at slow places take a part of the threads: issuers are asked meanwhile."""
    door = federation_of(service.stores, (), WaitingThreads(MOST_WAITING_FOR_CLIENTS + 1))
    keys.published = door.published_by_clients
    with ExitStack() as stack:
        for number in range(MOST_WAITING_FOR_CLIENTS):
            stack.enter_context(hanging(keys, f"/{number}"))
        with pytest.raises(Unavailable, match="too many"):
            keys.verify(BY_OLD)
        assert door.published.key_set(keys.issuer.place()) == key_set(OLD_JWK)


def test_an_issuer_that_hangs_makes_few_wait(keys):
    """Few threads wait for the fetch of another: all of a process would, one after the other."""
    with ThreadPoolExecutor(MOST_WAITING + 4) as pool, hanging(keys):
        asked = [pool.submit(keys.verify, BY_OLD) for _ in range(MOST_WAITING + 4)]
        refused = [one.exception() for one in islice(as_completed(asked, 60), 5)]
        assert all("being fetched" in str(one) for one in refused)
    assert [one.exception() for one in asked].count(None) == MOST_WAITING - 1
    assert keys.fetches == 1


def test_threads_that_waited_for_a_failed_fetch_cause_no_other(keys):
    """A thread that waits for a fetch, which fails, is told so, and does not ask again at once."""
    gate = threading.Event()
    keys.issuer.publish("/jwks", b"", status=500, gate=gate)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(keys.verify, BY_OLD) for _ in range(4)]
        assert keys.issuer.reached.wait(60)
        gate.set()
        assert all(isinstance(one.exception(), Unavailable) for one in asked)
    assert keys.fetches == 1


def test_the_raw_key_set(keys):
    """The key set is given as it is published, also one without a key for signatures."""
    published = key_set({"kty": "EC", "x5t#S256": "x"})
    keys.issuer.publish("/jwks", published)
    assert keys.published.key_set(keys.issuer.place()) == published
