"""A log in which the followers of earlier tests do not speak: they follow a service that has ended by now."""

import logging
import threading
from collections.abc import Iterator

import pytest

FOLLOWERS = {"revocations", "revocation-snapshot", "key-feed"}
"""The names of the threads of feeds, which may outlive their test."""


@pytest.fixture(autouse=True)
def _no_line_of_an_earlier_follower(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Leave out of `caplog` what threads log that followed before this test."""
    earlier = {thread for thread in threading.enumerate() if thread.name in FOLLOWERS}

    def is_of_this_test(_record: logging.LogRecord) -> bool:
        return threading.current_thread() not in earlier

    caplog.handler.addFilter(is_of_this_test)
    yield
    caplog.handler.removeFilter(is_of_this_test)
