"""New rules take the place of old ones between two questions: none is dropped or judged by half."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from macaroon_cbat.gateway.supervisor import LOOK_SECONDS
from tests.support.gateway_process import HEALTH, RULES, Running, gateway, send
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, forwarded
from tests.support.tls_servers import SECONDS, Client

NEW = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/new"}
NEW_RULE = '[[rule]]\npath = "/new"\npublic = true\n'


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with gateway(tmp_path, "--workers", "2") as running:
        yield running


def eventually(said: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not said():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def always(running: Running, fields: dict[str, str], status: int) -> bool:
    """Tell whether each of many connections, which go to all workers, gets this status."""
    return {running.ask(fields).status for _ in range(20)} == {status}


def test_a_changed_file_counts(running: Running):
    """A replaced policy file is in force soon, without a signal, in every worker."""
    assert always(running, NEW, 403)
    running.write(RULES + NEW_RULE)
    eventually(lambda: always(running, NEW, 200))
    running.write(RULES)
    eventually(lambda: always(running, NEW, 403))


def test_an_invalid_file_changes_nothing(running: Running):
    """While the file is invalid the rules read before stay in force, and the log says so once."""
    running.write("[[rule]]\npath = 7\n")
    running.await_log("keeping the policy read before")
    for _ in range(3):
        running.hang_up()
        time.sleep(0.2)
    assert running.log().count("keeping the policy read before") == 1
    assert "[[rule]] number 1, path is a whole number: write text" in running.log()
    assert always(running, HEALTH, 200)
    assert always(running, NEW, 403)
    running.write(RULES + NEW_RULE)
    eventually(lambda: always(running, NEW, 200))


def test_a_missing_file_changes_nothing(running: Running):
    """A policy file that is gone is no policy without rules: the old ones stay."""
    (running.folder / "gateway.toml").unlink()
    running.await_log("cannot be read")
    assert always(running, HEALTH, 200)


def test_where_it_listens_stays(running: Running):
    """Another place to listen at counts at the next start; the log says so, and the rules count at once."""
    running.write(RULES + NEW_RULE, listen={"http": "unix:other.sock"})
    running.await_log("[listen] and audit_log of")
    eventually(lambda: always(running, NEW, 200))
    assert not (running.folder / "other.sock").exists()


def test_a_file_that_is_being_written_is_left_alone(running: Running):
    """Half a file can be laxer than the whole: it is read only once it has stopped changing."""
    file = running.folder / "gateway.toml"
    start = file.read_text().partition("[[rule]]")[0]
    lax, strict = '[[rule]]\npath = "/"\npublic = true\n', '[[rule]]\npath = "/new"\nscope = "root"\n'
    times, last, ends_at = 0, time.monotonic(), time.monotonic() + 120
    while times < 30:
        assert time.monotonic() < ends_at, "this process had to wait again and again"
        file.write_text(start + lax)
        status, before, last = running.ask(NEW).status, last, time.monotonic()
        if last - before < LOOK_SECONDS / 2:
            assert status == 403
            times += 1
        else:  # this process had to wait for so long that the file may have been taken for whole
            running.write(RULES)
            eventually(lambda: always(running, NEW, 403))
            last = time.monotonic()
        time.sleep(0.05)
    file.write_text(start + lax + strict)
    other = {**NEW, "X-Forwarded-Uri": "/other"}
    eventually(lambda: always(running, other, 200))
    assert running.ask(NEW).status in (401, 503)


def test_a_worker_that_died_comes_back_with_the_rules_of_now(running: Running):
    """A worker that takes another's place judges by the last valid rules, not by those of the start."""
    running.write(RULES + NEW_RULE)
    eventually(lambda: always(running, NEW, 200))
    running.write("no rules at all")
    running.await_log("keeping the policy read before")
    running.signal_workers()
    running.await_log("ended after", 2)
    eventually(lambda: _answers(running))
    assert always(running, NEW, 200)


def _answers(running: Running) -> bool:
    try:
        return running.ask(HEALTH).status == 200
    except OSError:
        return False


def test_no_question_is_dropped_or_misjudged(running: Running, holder: Client, thief: Client):
    """With many keep-alive connections during 20 reloads, each question gets the answer that it must get."""
    expected = expectations(holder, thief)
    stopping, failures, counts = threading.Event(), list[str](), list[int]()

    def client() -> None:
        count = 0
        try:
            with running.connect() as sock:
                while not stopping.is_set():
                    statuses = [send(sock, fields).status for fields, _ in expected]
                    failures.extend(misjudged(statuses, expected))
                    count += len(statuses)
        except Exception as error:  # noqa: BLE001 # whatever happens to a client is a finding
            failures.append(repr(error))
        counts.append(count)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    for number in range(20):
        running.write(RULES + NEW_RULE * (number % 2))
        running.hang_up()
        running.await_log("read the policy again", number + 1)
    stopping.set()
    for thread in clients:
        thread.join()
    assert failures == []
    assert min(counts) > 20


Expected = list[tuple[list[tuple[str, str]], set[int]]]


def expectations(holder: Client, thief: Client) -> Expected:
    """Return questions, and the answers that each may get whichever of the two policies is in force."""
    token = good(holder.der)

    def told(uri: str, certificate: bytes | None) -> list[tuple[str, str]]:
        asked = Asked(uri=uri, token=token, certificate=certificate)
        if certificate is None:
            return forwarded(asked, [("Clientcertverify", "NONE")])
        return forwarded(asked, [("Clientcert", asked.pem), ("Clientcertverify", "SUCCESS")])

    return [
        (told("/invoices", holder.der), {200}),
        (told("/invoices", thief.der), {401}),
        (told("/admin", holder.der), {403}),
        (told("/health", None), {200}),
        (told("/new", None), {200, 403}),
    ]


def misjudged(statuses: list[int], expected: Expected) -> list[str]:
    pairs = zip(statuses, expected, strict=True)
    return [f"{status} for {fields[1]}" for status, (fields, allowed) in pairs if status not in allowed]
