"""The clock of knowledge that ages."""

import inspect
import time

import pytest

from macaroon_cbat.files.clock import since_boot
from macaroon_cbat.resource.feeds.key_feed import KeyFeed
from macaroon_cbat.resource.feeds.revocation_feed import RevocationFeed
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.primacy import Primacy


def test_the_time_of_a_suspended_machine_counts():
    """The clock is the one that goes on while the machine is suspended."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= since_boot() <= time.clock_gettime(time.CLOCK_BOOTTIME)


@pytest.mark.parametrize("ages", [RevocationFeed, KeyFeed, Primacy, Database])
def test_what_is_known_ages_while_the_machine_is_suspended(ages):
    """Keys, revocations and proofs age by this clock: a machine that wakes up does not take them for new."""
    assert inspect.signature(ages).parameters["monotonic"].default is since_boot
