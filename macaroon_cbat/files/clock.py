"""The clock by which a process judges how old its knowledge is: no change of the date moves it."""

import time

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # Linux alone has the first


def since_boot() -> float:
    """Return the seconds since the machine started; on Linux, those in which it was suspended count.

    `time.monotonic` stands still meanwhile. What was current before would pass for current after it.
    """
    return time.clock_gettime(_CLOCK)
