"""Lines that are written in groups: in order, each whole or refused, and no thread is left waiting."""

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from macaroon_cbat.audit.line_groups import LineGroups, Written
from tests.support.tls_servers import wait_until


class Disk:
    """A disk on which the first write waits until it is let go, so that a group gathers behind it."""

    def __init__(
        self, later: Callable[[Sequence[bytes]], Written] = lambda lines: (len(lines), None)
    ) -> None:
        """Let the first write succeed, and leave the others to `later`."""
        self.groups = LineGroups(self.write)
        self.writes: list[list[bytes]] = []
        self._later = later
        self._go_on = threading.Event()
        self._has_begun = threading.Event()
        self._pool = ThreadPoolExecutor(9)

    def write(self, lines: Sequence[bytes]) -> Written:
        """Write a group."""
        self.writes.append(list(lines))
        if len(self.writes) > 1:
            return self._later(lines)
        self._has_begun.set()
        self._go_on.wait()
        return len(lines), None

    def gather(self, count: int) -> list[Future[OSError | None]]:
        """Begin a write, and have so many lines wait for its end, in the order of their numbers."""
        first = self._pool.submit(self.groups.append, b"first")
        self._has_begun.wait()
        return [first, *(self._follow(number) for number in range(count))]

    def _follow(self, number: int) -> Future[OSError | None]:
        waiting = self._pool.submit(self.groups.append, b"%d" % number)
        wait_until(lambda: self.groups.waiting == number + 1)
        return waiting

    def let_go(self) -> None:
        """Let the first write end, and return after the last one."""
        self._go_on.set()
        self._pool.shutdown()


def test_what_waits_is_written_at_once():
    """Lines that come during a write share the next one, in the order in which they came."""
    disk = Disk()
    told = disk.gather(8)
    disk.let_go()
    assert [each.result() for each in told] == [None] * 9
    assert disk.writes == [[b"first"], [b"%d" % number for number in range(8)]]


def test_a_line_is_told_of_after_its_write():
    """No thread goes on before its line was written, be it the first or one that waits."""
    disk = Disk()
    told = disk.gather(4)
    assert not any(each.done() for each in told)
    disk.let_go()


def test_those_whose_lines_were_not_written_are_refused():
    """If a write ends in the middle of a group, exactly the lines after it fail, each with the error."""
    full = OSError(28, "No space left on device")
    disk = Disk(lambda _: (3, full))
    told = disk.gather(8)
    disk.let_go()
    assert [each.result() for each in told] == [*[None] * 4, *[full] * 5]


def test_a_group_that_fails_stops_no_later_one():
    """After a failed group the next line is written by its own thread."""
    outcomes = iter([(0, OSError(28, "No space left on device")), (1, None)])
    disk = Disk(lambda _: next(outcomes))
    told = disk.gather(2)
    disk.let_go()
    assert [each.result() is None for each in told] == [True, False, False]
    assert disk.groups.append(b"later") is None


def test_a_thread_that_fails_while_it_writes_for_others_refuses_them():
    """If the thread that leads is interrupted, the lines of its group are refused, and later ones go on."""

    def fail(_: Sequence[bytes]) -> Written:
        raise KeyboardInterrupt

    disk = Disk(fail)
    told = disk.gather(3)
    disk.let_go()
    assert isinstance(told[1].exception(), KeyboardInterrupt)
    assert ["was interrupted" in str(each.result()) for each in told[2:]] == [True, True]
    with pytest.raises(KeyboardInterrupt):  # this thread leads: the one that failed has left no other waiting
        disk.groups.append(b"later")


def test_a_thread_that_is_interrupted_while_it_tells_others_tells_them_all():
    """A signal that comes when the lines are written leaves no thread waiting for that, and no later one."""

    class Interrupting(int):
        is_over = False

        def __gt__(self, other: int) -> bool:
            if other == 2 and not self.is_over:  # two of the group have been told
                self.is_over = True
                raise KeyboardInterrupt
            return super().__gt__(other)

    disk = Disk(lambda lines: (Interrupting(len(lines)), None))
    told = disk.gather(5)
    disk.let_go()
    assert isinstance(told[1].exception(), KeyboardInterrupt)
    assert [each.result() for each in told[2:]] == [None] * 4
    assert disk.groups.append(b"later") is None


def test_a_thread_that_is_interrupted_while_it_waits_leaves_the_others_alone():
    """A signal that ends a waiting thread takes its line back; the lines around it are written."""

    class Signalled(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Signalled

    disk = Disk()
    told = disk.gather(1)
    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()

    def signal_main() -> None:
        wait_until(lambda: disk.groups.waiting == 2)
        signal.pthread_kill(main, signal.SIGUSR1)

    sender = threading.Thread(target=signal_main)
    sender.start()
    try:
        with pytest.raises(Signalled):
            disk.groups.append(b"of the thread that is interrupted")
    finally:
        sender.join()
        signal.signal(signal.SIGUSR1, before)
    disk.let_go()
    assert [each.result() for each in told] == [None, None]
    assert disk.writes == [[b"first"], [b"0"]]
