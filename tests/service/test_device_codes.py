"""Device codes in a database: of all that poll or decide at once, one succeeds; a failure halves nothing."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from macaroon_cbat.errors import Conflict, InvalidGrant, MacaroonError, TooManyRequests, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.code_tries import count_try, forgive_try
from macaroon_cbat.service.oauth2.device_codes import DeviceCodes, DeviceRequest, Poller
from macaroon_cbat.stores.schema import expiring_records
from tests.support.databases import NOW

AT_ONCE = 6
ASKED = DeviceRequest(client_id="terminal", scope="read", audience="https://api.example", begun_at=NOW)
POLLER = Poller("terminal")
LATER = EpochSeconds(NOW + 5)


def nothing(_asked: DeviceRequest) -> None:
    """Record no decision."""


def at_once(work: Callable[[], object]) -> list[object]:
    """Return what so many threads at the same instant are answered: a value or an error of ours."""
    ready = Barrier(AT_ONCE)

    def one(_number: int) -> object:
        ready.wait()
        try:
            return work()
        except MacaroonError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [*pool.map(one, range(AT_ONCE))]


@pytest.fixture
def codes(on_each_database) -> DeviceCodes:
    return DeviceCodes(on_each_database.stores.expiring)


def test_one_poll_of_many_gets_the_tokens(codes):
    """Of polls at the same instant one redeems the code, and none learns more than that it is over."""
    begun = codes.begin(ASKED)
    codes.decide(begun.user_code, "approved", "user:ada", NOW, nothing)
    answers = at_once(lambda: codes.redeem(begun.device_code, POLLER, LATER))
    redeemed = [answer for answer in answers if isinstance(answer, DeviceRequest)]
    assert [one.subject for one in redeemed] == ["user:ada"]


def test_one_decision_of_many_holds(codes):
    """Of decisions at the same instant one holds, and is recorded once."""
    begun, recorded = codes.begin(ASKED), []
    answers = at_once(lambda: codes.decide(begun.user_code, "denied", "user:ada", NOW, recorded.append))
    assert sum(isinstance(answer, DeviceRequest) for answer in answers) == len(recorded) == 1
    assert sum(isinstance(answer, Conflict) for answer in answers) == AT_ONCE - 1


def test_every_wrong_code_of_many_is_counted(on_each_database):
    """Tries at the same instant are all counted, so that no guess is free; a right one is taken back."""
    records = on_each_database.stores.expiring
    tries = [*at_once(lambda: count_try(records, "user:ada", NOW))]
    tries += at_once(lambda: count_try(records, "user:ada", NOW))
    assert [isinstance(one, TooManyRequests) for one in tries].count(False) == 10
    forgive_try(records, "user:ada", NOW)
    count_try(records, "user:ada", NOW)
    with pytest.raises(TooManyRequests, match="10 wrong codes"):
        count_try(records, "user:ada", NOW)


@contextmanager
def failing_at(codes: DeviceCodes, number: int) -> Iterator[None]:
    """Let the database fail when its transaction of this number begins."""
    engine = codes._records._database.engine  # noqa: SLF001 # the fault is below the store
    begun = iter(range(1, 100))

    def fail(_connection: object) -> None:
        if next(begun) == number:
            raise OperationalError("BEGIN", None, Exception("the database was killed"))

    event.listen(engine, "begin", fail)
    try:
        yield
    finally:
        event.remove(engine, "begin", fail)


@pytest.mark.parametrize("number", [1, 2])
def test_codes_that_are_begun_by_half_lead_nowhere(codes, number):
    """A database that fails while codes are made leaves no user code that a person could approve."""
    with failing_at(codes, number), pytest.raises(Unavailable):
        codes.begin(ASKED)
    with codes._records._database.reading() as connection:  # noqa: SLF001 # the rows that are left
        kinds = connection.execute(select(expiring_records.c.kind)).scalars().all()
    assert "device" not in kinds


def test_a_poll_that_fails_is_repeated(codes):
    """A database that fails under a poll costs no login: the next poll gets the tokens."""
    begun = codes.begin(ASKED)
    codes.decide(begun.user_code, "approved", "user:ada", NOW, nothing)
    with failing_at(codes, 1), pytest.raises(Unavailable):
        codes.redeem(begun.device_code, POLLER, LATER)
    assert codes.redeem(begun.device_code, POLLER, EpochSeconds(LATER + 5)).subject == "user:ada"


def test_a_code_that_was_redeemed_is_used_once(codes):
    """Of polls that redeem a code one after the other, one uses it, and no later one can."""
    begun = codes.begin(ASKED)
    codes.decide(begun.user_code, "approved", "user:ada", NOW, nothing)
    for seconds in (5, 10):
        codes.redeem(begun.device_code, POLLER, EpochSeconds(NOW + seconds))
    answers = at_once(lambda: codes.use(begun.device_code, LATER))
    assert answers.count(None) == 1
    assert sum(isinstance(answer, InvalidGrant) for answer in answers) == AT_ONCE - 1
    with pytest.raises(InvalidGrant):
        codes.redeem(begun.device_code, POLLER, EpochSeconds(NOW + 15))


def test_a_decision_that_fails_at_its_end_holds(codes):
    """A decision that was recorded holds, though the database fails right after it."""
    begun = codes.begin(ASKED)
    with failing_at(codes, 3), pytest.raises(Unavailable):
        codes.decide(begun.user_code, "approved", "user:ada", NOW, nothing)
    assert codes.find(begun.user_code, NOW) is None
    assert codes.redeem(begun.device_code, POLLER, LATER).subject == "user:ada"
