"""Introspection that was used before a fork: each process has its own connection, and its own answers."""

import threading
import time
from pathlib import Path

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import InvalidToken, Unavailable
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource import Introspection
from macaroon_cbat.resource.verifier import OfflineVerifier, TokenVerifier
from tests.support.feeds import Feeding
from tests.support.forged_tokens import forged
from tests.support.forks import in_children
from tests.support.guarded_app import CERTIFICATE
from tests.support.service_process import API
from tests.support.silent_services import never, silent_service
from tests.support.tls_servers import wait_until

CHILDREN, QUESTIONS = 8, 40


@pytest.fixture
def asking(feeding: Feeding) -> Introspection:
    if "asking" not in feeding.secrets:
        feeding.secrets["asking"] = feeding.service.add("asking", "--serves", API, "--understands-caveats")
    return Introspection(
        feeding.service.issuer, API, "asking", feeding.secrets["asking"], ca=feeding.service.ca
    )


def passes(verifier: TokenVerifier, token: str) -> bool:
    """Return True if the verifier lets the token in over a connection with CERTIFICATE."""
    now, certificate = EpochSeconds(int(time.time())), thumbprint_of(DerCertificate(CERTIFICATE))
    access = Access(now=now, clock_skew=30, audience=API, certificate=certificate)
    try:
        verifier.verify(token, access, require_certificate=True)
    except InvalidToken:
        return False
    return True


def in_each_child(verifier: TokenVerifier, token: str) -> list[int]:
    """Let half of the children ask about this token, and half about a forged one, all at once."""
    wrong = forged(token)

    def ask(number: int) -> bool:
        text = token if number % 2 else wrong
        return all(passes(verifier, text) == bool(number % 2) for _ in range(QUESTIONS))

    return in_children(CHILDREN, ask)


def test_a_child_reads_no_answer_of_another_process(feeding: Feeding, asking: Introspection):
    """Children that ask at once about an honest token and about a forged one get the answer to their own."""
    token = feeding.token()
    assert passes(asking, token)
    assert not passes(asking, forged(token))
    assert in_each_child(asking, token) == [0] * CHILDREN
    assert passes(asking, token), "the parent's own connection goes on"
    assert not passes(asking, forged(token))


def test_a_stale_feed_that_asks_instead_is_as_safe(feeding: Feeding, asking: Introspection):
    """The same holds for an Introspection that is asked while the feed is stale."""
    token, keys = feeding.token(), feeding.keys()
    feed = feeding.revocations("reporting", monotonic=time.monotonic)
    verifier = OfflineVerifier(keys, feed, when_stale=asking)
    assert passes(verifier, token)
    assert in_each_child(verifier, token) == [0] * CHILDREN
    feed.stop()


def test_a_fork_amid_questions_hangs_no_child(feeding: Feeding, asking: Introspection):
    """Children forked while threads of the parent ask, whose locks stay closed, ask as if nothing was."""
    token, is_over = feeding.token(), threading.Event()

    def go_on() -> None:
        while not is_over.is_set():
            passes(asking, token)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        statuses = [in_children(2, lambda number: passes(asking, token)) for _ in range(10)]
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    assert statuses == [[0, 0]] * 10


def test_a_child_shares_no_silence(feeding: Feeding, tmp_path: Path):
    """Places to ask from that the parent had taken, and its view that the service is silent, stay its own."""
    token = feeding.token()
    with silent_service(tmp_path, never) as service:
        silent = Introspection(service.url, API, "a", "b", ca=service.ca, timeout=2, most_asking=1)
        assert _is_asked(silent, token)
        asking = threading.Thread(target=_is_asked, args=(silent, token))
        asking.start()
        wait_until(lambda: len(service.asked) == 2)
        assert in_children(1, lambda _: _is_asked(silent, token)) == [0]
        asking.join()


def _is_asked(verifier: Introspection, token: str) -> bool:
    with pytest.raises(Unavailable, match="no answer from"):
        passes(verifier, token)
    return True
