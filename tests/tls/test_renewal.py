"""A renewed server certificate is presented without a restart; one that is no good changes nothing."""

import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.bad_pairs import BAD, empty, of_another_key
from tests.support.renewals import (
    KEPT,
    Pair,
    Place,
    Renewed,
    Replace,
    behind_data,
    by_data_link,
    by_link,
    by_rename,
    hang_up_each,
    in_folder,
    in_place,
    new_pair,
    pair_until,
    serving,
    serving_each,
    with_old_times,
)
from tests.support.tls_servers import ask, wait_until

BOTH = pytest.mark.parametrize("workers", [1, 2])


@pytest.fixture(scope="module", autouse=True)
def expiring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renewed]:
    """Run a server whose certificate expires soon, for the last test of this file.

    On a machine so slow that the certificate has expired before the server starts, another is tried.
    """
    folder = tmp_path_factory.mktemp("expiring")
    with ExitStack() as stack:
        for seconds in (20, 30, 40):
            now = datetime.now(UTC)
            pair = pair_until(now + timedelta(seconds=seconds), now - timedelta(days=1))
            try:
                served = stack.enter_context(serving(folder, pair, workers=2))
                break
            except AssertionError as error:
                if "expired on" not in str(error) or seconds == 40:
                    raise
        yield served


WAYS: dict[str, tuple[Place, Replace]] = {
    "renamed, the key first": (in_folder, by_rename),
    "links to other files": (in_folder, by_link),
    "written in place": (in_folder, in_place),
    "with old times": (in_folder, with_old_times),
    "a Kubernetes secret": (behind_data, by_data_link),
}


@BOTH
def test_a_replaced_pair_is_presented(tmp_path: Path, workers: int) -> None:
    """However the files are replaced, every worker presents the new certificate soon, without a signal."""
    first, second = new_pair(), new_pair()
    places = {name: place for name, (place, _) in WAYS.items()}
    with serving_each(tmp_path, first, places, workers=workers) as each:
        for name, served in each.items():
            assert served.presented() == {first.der}, name
            WAYS[name][1](served, second)
        for name, served in each.items():
            served.await_pair(second)
            assert "WARNING" not in served.server.log(), name


@BOTH
def test_sighup_reads_the_files_again(tmp_path: Path, workers: int) -> None:
    """After SIGHUP every worker presents the new certificate, and the operator's call came in each."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=workers) as served:
        by_rename(served, second)
        served.hang_up()
        served.await_pair(second)
        served.await_log("hangup in", workers)
        told = served.server.log().count(f"expires {second.expires} in")
        assert told >= 1
        assert served.server.stop() == 0


@BOTH
def test_a_connection_goes_on_with_its_certificate(tmp_path: Path, workers: int) -> None:
    """A connection from before a renewal is served on, over and over."""
    first, second = new_pair(), new_pair()
    with (
        serving(tmp_path, first, workers=workers) as served,
        served.server.connect(served.context()) as connection,
    ):
        by_rename(served, second)
        served.hang_up()
        served.await_pair(second)
        assert [ask(connection).status for _ in range(3)] == [200, 200, 200]
        assert connection.getpeercert(True) == first.der


def test_a_pair_that_is_no_good_changes_nothing(tmp_path: Path) -> None:
    """The old pair stays with one warning of one process, however often SIGHUP comes; a good one counts."""
    first, second = new_pair(), new_pair()
    with serving_each(tmp_path, first, dict.fromkeys(BAD, in_folder), workers=2) as each:
        for name, served in each.items():
            BAD[name][0](served)
        for served in each.values():
            served.await_log(KEPT)
        for _ in range(3):
            hang_up_each(each.values())
        for name, served in each.items():
            assert served.presented() == {first.der}, name
            [warning] = [line for line in served.server.log().splitlines() if line.startswith("WARNING")]
            assert BAD[name][1] in warning
        for served in each.values():
            _repair(served, second)
        for served in each.values():
            served.await_pair(second)


def test_one_process_warns_and_goes_on(tmp_path: Path) -> None:
    """A server of one process keeps the old pair with one warning too, and takes the pair once it fits."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first) as served:
        served.key.write_bytes(second.key)
        served.await_log(KEPT)
        served.hang_up_and_wait()
        assert served.presented() == {first.der}
        served.certificate.write_bytes(second.certificate)
        served.await_pair(second)
        assert served.server.log().count("WARNING") == 1


def _repair(served: Renewed, pair: Pair) -> None:
    if served.certificate.is_dir():
        served.certificate.rmdir()
    by_rename(served, pair)


@pytest.mark.parametrize("spoil", [empty, of_another_key])
def test_a_new_worker_gets_the_new_pair(tmp_path: Path, spoil: Callable[[Renewed], None]) -> None:
    """A worker that takes a dead one's place presents the last good pair, whatever the files hold by then."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=2) as served:
        by_rename(served, second)
        served.hang_up()
        served.await_pair(second)
        served.await_log("presenting")  # the parent has it too
        spoil(served)
        served.hang_up()
        served.await_log(KEPT)
        dead = served.children()
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(set(served.children()) - set(dead)) == 2)
        assert served.presented() == {second.der}


@BOTH
@pytest.mark.parametrize("settings", [{}, {"is_nohup": True}], ids=["plain", "nohup"])
def test_sighup_before_it_is_ready_ends_nothing(
    tmp_path: Path, workers: int, settings: dict[str, bool]
) -> None:
    """SIGHUP while the application is still being made, and many at once later, leave the server serving."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=workers, make_app="hangs up", **settings) as served:
        by_rename(served, second)
        for _ in range(100):
            served.hang_up()
        served.await_pair(second)
        assert served.server.stop() == 0


@BOTH
def test_no_session_survives_a_renewal(tmp_path: Path, workers: int) -> None:
    """A TLS session from before a renewal is not resumed after it: each connection proves its key anew."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=workers) as served:
        contexts = [served.context() for _ in range(2)]
        contexts[0].maximum_version = ssl.TLSVersion.TLSv1_2
        sessions = [_session(served, context) for context in contexts]
        by_rename(served, second)
        served.hang_up()
        served.await_pair(second)
        for context, session in zip(contexts, sessions, strict=True):
            with served.server.connect(context, session=session) as connection:
                assert ask(connection).status == 200
                assert not connection.session_reused


def _session(served: Renewed, context: ssl.SSLContext) -> ssl.SSLSession | None:
    with served.server.connect(context) as connection:
        assert ask(connection).status == 200
        return connection.session


def test_a_certificate_that_expires_in_force_is_an_error_in_the_log(expiring: Renewed) -> None:
    """Once the presented certificate has expired, one line says so, and the server waits for another."""
    expiring.await_log("expired on")
    expiring.hang_up_and_wait()
    assert expiring.server.log().count("and clients refuse it: replace the file, which is followed") == 1
    second = new_pair()
    by_rename(expiring, second)
    expiring.await_pair(second)
