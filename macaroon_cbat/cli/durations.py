"""Durations on the command line and in files: whole seconds, or a number with a unit."""

import re
from typing import Any

import click

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,9})([smhd]?)\Z")


def seconds_of(text: str) -> int:
    """Return the seconds of a duration such as 90, 30m, 24h or 7d, or raise ValueError."""
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f"{text[:20]!r} is no duration: write seconds, or a number with s, m, h or d")
    return int(found[1]) * _UNITS[found[2] or "s"]


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A duration of at most so many seconds."""

    name = "duration"

    def __init__(self, most: int) -> None:
        """Take the longest one in seconds."""
        self._most = most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds, or fail with what to write."""
        try:
            seconds = value if isinstance(value, int) else seconds_of(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if seconds > self._most:
            self.fail(f"it is too long: write {self._most // 86_400}d at most", param, ctx)
        return seconds
