"""Children of the test's own process, as servers with preloaded applications fork them."""

import faulthandler
import os
import traceback
import warnings
from collections.abc import Callable

from tests.support.patience import SECONDS


def in_children(count: int, do: Callable[[int], object]) -> list[int]:
    """Run this in so many forked children at once, with their numbers; return their exit statuses.

    0 is a child whose call returned something true. A child that hangs ends with 1.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # servers fork with threads, so the tests do
        children = [_child(do, number) for number in range(count)]
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _child(do: Callable[[int], object], number: int) -> int:
    if child := os.fork():
        return child
    faulthandler.dump_traceback_later(SECONDS, exit=True)  # it shows where the child hangs
    status = 1
    try:
        status = 0 if do(number) else 1
    except BaseException:  # noqa: BLE001 # it must not return into pytest
        traceback.print_exc()
    finally:
        os._exit(status)
