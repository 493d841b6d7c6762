"""A clock of root keys, and the states that they are in."""


class Clock:
    """Seconds that pass when a test says so."""

    seconds = 1000.0

    def __call__(self) -> float:
        """Return the second it is."""
        return self.seconds


def states(stores) -> list[str]:
    return [record.state for record in stores.root_keys.records()]
