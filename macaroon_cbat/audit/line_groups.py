"""Lines of several threads that are written at once: the thread that comes first writes for all that wait.

A write releases Python's lock. Threads that each wrote their own line would wait for one another at every
line. Here those that wait meanwhile share the next write.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Lock

Written = tuple[int, OSError | None]
"""The number of lines that were written whole, the first ones, and the error that stopped the others."""


class LineGroups:
    """The lines of one process, written in the order in which they came, and never in the background."""

    def __init__(self, write: Callable[[Sequence[bytes]], Written]) -> None:
        """Write by this function, which one thread calls at a time, with one line or more."""
        self._write = write
        self.writing = Lock()
        """Held during each write; hold it to keep the threads from writing."""
        self._lock = Lock()
        self._waiting: deque[_Line] = deque()
        self._is_led = False

    def append(self, line: bytes) -> OSError | None:
        """Return once the line was written, or the error for which it was not."""
        mine = _Line(line)
        try:
            with self._lock:
                self._waiting.append(mine)
                mine.turn = _taken() if self._is_led else None
                mine.is_to_lead = not self._is_led
                self._is_led = True
            if mine.turn is not None:
                mine.turn.acquire()
            if not mine.is_settled:
                self._lead()
        except BaseException:
            self._leave(mine)
            raise
        return mine.error

    @property
    def waiting(self) -> int:
        """The number of lines that wait for a thread to write them."""
        return len(self._waiting)

    def _leave(self, mine: "_Line") -> None:
        """Take the line back: the signal that ends its thread must not end the writing of others."""
        with self._lock:
            if mine in self._waiting:
                self._waiting.remove(mine)
        if mine.is_to_lead and not mine.is_settled:
            self._hand_over()

    def _lead(self) -> None:
        """Write every line that waits, the caller's among them, and let a thread lead that came meanwhile."""
        group: list[_Line] = []
        written, error = 0, OSError(0, "the thread that wrote the line was interrupted")
        try:
            with self._lock:
                group += self._waiting
                self._waiting.clear()
            with self.writing:
                written, stopped = self._write([each.text for each in group])
            error = stopped or error
        finally:
            try:
                self._tell(group, written, error)
            except BaseException:
                self._tell(group, written, error)  # a signal comes between two steps, which may be repeated
                raise

    def _tell(self, group: list["_Line"], written: int, error: OSError) -> None:
        """Tell each thread of a group how it ended, and let another one lead."""
        for number, each in enumerate(group):
            each.settle(None if number < written else error)
        self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._is_led = bool(self._waiting)
            if self._is_led:
                self._waiting[0].is_to_lead = True
                self._waiting[0].call()


class _Line:
    """A line, its outcome, and the lock for which its thread waits unless it leads from the start."""

    __slots__ = ("error", "is_settled", "is_to_lead", "text", "turn")

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.turn: Lock | None = None
        self.is_settled = self.is_to_lead = False
        self.error: OSError | None = None

    def settle(self, error: OSError | None) -> None:
        """Let the thread go on, with this outcome."""
        self.error, self.is_settled = error, True
        self.call()

    def call(self) -> None:
        """Wake the thread, if it waits."""
        if self.turn is not None and self.turn.locked():
            self.turn.release()


def _taken() -> Lock:
    taken = Lock()
    taken.acquire()
    return taken
