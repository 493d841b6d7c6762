"""A clock for what takes one by hand."""


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float = 1000.0) -> None:
        """Begin at this second."""
        self.now = now

    def __call__(self) -> float:
        """Return the second it is."""
        return self.now
