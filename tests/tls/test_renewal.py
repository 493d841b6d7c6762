"""A renewed server certificate is presented without a restart; one that is no good changes nothing."""

import os
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

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
    encrypted,
    in_folder,
    in_place,
    new_pair,
    pair_until,
    serving,
    with_old_times,
)
from tests.support.tls_servers import ask, wait_until

BOTH = pytest.mark.parametrize("workers", [1, 2])


@BOTH
@pytest.mark.parametrize(
    ("place", "replace"),
    [
        pytest.param(in_folder, by_rename, id="renamed, the key first"),
        pytest.param(in_folder, by_link, id="links to other files"),
        pytest.param(in_folder, in_place, id="written in place"),
        pytest.param(in_folder, with_old_times, id="with old times"),
        pytest.param(behind_data, by_data_link, id="a Kubernetes secret"),
    ],
)
def test_a_replaced_pair_is_presented(tmp_path: Path, workers: int, place: Place, replace: Replace) -> None:
    """However the files are replaced, every worker presents the new certificate soon, without a signal."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, place, workers=workers) as served:
        assert served.presented() == {first.der}
        replace(served, second)
        served.await_pair(second)
        assert "WARNING" not in served.server.log()


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
        served.await_pair(second)
        assert [ask(connection).status for _ in range(3)] == [200, 200, 200]
        assert connection.getpeercert(True) == first.der


def _of_another_key(served: Renewed) -> None:
    served.key.write_bytes(new_pair().key)


def _certificate_alone(served: Renewed) -> None:
    served.certificate.write_bytes(new_pair().certificate)


def _expired(served: Renewed) -> None:
    in_place(served, new_pair((-30, -1)))


def _not_yet_valid(served: Renewed) -> None:
    in_place(served, new_pair((1, 30)))


def _with_passphrase(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate, encrypted(pair.key)))


def _without_certificate(served: Renewed) -> None:
    served.certificate.unlink()


def _without_key(served: Renewed) -> None:
    served.key.unlink()


def _empty(served: Renewed) -> None:
    served.certificate.write_bytes(b"")


def _half(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate[: len(pair.certificate) // 3], pair.key))


def _half_a_chain(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate[:-200], pair.key))


def _half_a_key(served: Renewed) -> None:
    pair = new_pair()
    in_place(served, Pair(pair.certificate, pair.key[:-60]))


def _a_folder(served: Renewed) -> None:
    served.certificate.unlink()
    served.certificate.mkdir()


def _open_to_all(served: Renewed) -> None:
    in_place(served, new_pair())
    served.key.chmod(0o644)


def _a_dangling_link(served: Renewed) -> None:
    served.key.unlink()
    served.key.symlink_to("nowhere")


BAD = [
    pytest.param(_of_another_key, "is not the private key of", id="another key"),
    pytest.param(_certificate_alone, "is not the private key of", id="another certificate"),
    pytest.param(_expired, "expired on", id="expired"),
    pytest.param(_not_yet_valid, "is not valid before", id="not yet valid"),
    pytest.param(_with_passphrase, "is encrypted", id="an encrypted key"),
    pytest.param(_without_certificate, "cannot read", id="no certificate"),
    pytest.param(_without_key, "cannot read", id="no key"),
    pytest.param(_empty, "is not a PEM certificate", id="empty"),
    pytest.param(_half, "is not a PEM certificate", id="half a certificate"),
    pytest.param(_half_a_chain, "OpenSSL refuses", id="half a chain"),
    pytest.param(_half_a_key, "is not a PEM private key", id="half a key"),
    pytest.param(_a_folder, "Is a directory", id="a folder"),
    pytest.param(_open_to_all, "can be used by others", id="a key for all to read"),
    pytest.param(_a_dangling_link, "cannot read", id="a dangling link"),
]


@pytest.mark.parametrize(("spoil", "reason"), BAD)
def test_a_pair_that_is_no_good_changes_nothing(
    tmp_path: Path, spoil: Callable[[Renewed], None], reason: str
) -> None:
    """The old pair stays with one warning of one process, however often SIGHUP comes; a good one counts."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=2) as served:
        spoil(served)
        served.await_log(KEPT)
        for _ in range(3):
            served.hang_up_and_wait()
        assert served.presented() == {first.der}
        [warning] = [line for line in served.server.log().splitlines() if line.startswith("WARNING")]
        assert reason in warning
        _repair(served, second)
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


def test_a_certificate_that_expires_in_force_is_an_error_in_the_log(tmp_path: Path) -> None:
    """Once the presented certificate has expired, one line says so, and the server waits for another."""
    now = datetime.now(UTC)
    first, second = pair_until(now + timedelta(seconds=8), now - timedelta(days=1)), new_pair()
    with serving(tmp_path, first, workers=2) as served:
        served.await_log("expired on")
        served.hang_up_and_wait()
        assert served.server.log().count("and clients refuse it: replace the file, which is followed") == 1
        by_rename(served, second)
        served.await_pair(second)


def _repair(served: Renewed, pair: Pair) -> None:
    if served.certificate.is_dir():
        served.certificate.rmdir()
    by_rename(served, pair)


@pytest.mark.parametrize("spoil", [_empty, _of_another_key])
def test_a_new_worker_gets_the_new_pair(tmp_path: Path, spoil: Callable[[Renewed], None]) -> None:
    """A worker that takes a dead one's place presents the last good pair, whatever the files hold by then."""
    first, second = new_pair(), new_pair()
    with serving(tmp_path, first, workers=2) as served:
        by_rename(served, second)
        served.await_pair(second)
        served.await_log("presenting")  # the parent has it too
        spoil(served)
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
        served.await_pair(second)
        for context, session in zip(contexts, sessions, strict=True):
            with served.server.connect(context, session=session) as connection:
                assert ask(connection).status == 200
                assert not connection.session_reused


def _session(served: Renewed, context: ssl.SSLContext) -> ssl.SSLSession | None:
    with served.server.connect(context) as connection:
        assert ask(connection).status == 200
        return connection.session
