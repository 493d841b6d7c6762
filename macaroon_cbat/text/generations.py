"""A bounded memory of recent values without a lock: threads share it, and a fork cannot leave it locked."""

from typing import Generic, TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Generations(Generic[Key, Value]):
    """The values of recent keys, in two generations of so many each; none of them is None.

    A full generation becomes the old one, in place of the one before. A value that is asked for moves to the
    young one, so it stays while it is asked for at least once a generation. Every step is one operation on a
    dict: of two threads at the same time, one may lose what it put, and neither sees a wrong value.
    """

    __slots__ = ("_most", "_old", "_young")

    def __init__(self, most: int) -> None:
        """Keep this many values a generation."""
        self._most = most
        self._young: dict[Key, Value] = {}
        self._old: dict[Key, Value] = {}

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self._young.keys() | self._old.keys())

    def __repr__(self) -> str:
        """Show how many values there are, and none of them."""
        return f"<Generations of {len(self)}>"

    def get(self, key: Key) -> Value | None:
        """Return the value of a key, or None."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: Key, value: Value) -> None:
        """Keep the value, in place of one that is there."""
        young = self._young
        if len(young) >= self._most:
            self._old, self._young = young, (young := {})
        young[key] = value

    def forget(self, key: Key) -> None:
        """Drop the value of a key, if there is one."""
        self._young.pop(key, None)
        self._old.pop(key, None)
