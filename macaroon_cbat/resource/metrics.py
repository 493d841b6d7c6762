"""The Prometheus counters of a resource server; without prometheus_client nothing is counted.

They are in prometheus_client's own registry, so the application exposes them together with its own.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from macaroon_cbat.errors import OAuthError, Unavailable
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.verification import Principal

if TYPE_CHECKING:
    from prometheus_client import Counter


log = logging.getLogger("macaroon_cbat.metrics")

_UNWRITABLE = (OSError, ValueError, TypeError)
"""The errors of a file that cannot be opened, and of one that a fork has left closed."""


class _Refusals(NamedTuple):
    """The counters of requests that were not admitted."""

    refused: "Counter"
    unavailable: "Counter"
    ignored: "Counter"


_making = ProcessLock()
"""The lock of the first requests, which may come at once: prometheus_client takes no name twice."""


@cache
def _verified() -> "dict[tuple[bool, bool], Counter]":
    """Return the counters by bound and attenuated; looking them up by label costs more than counting."""
    with _making.current():
        return _make_verified()


@cache
def _make_verified() -> "dict[tuple[bool, bool], Counter]":
    try:
        from prometheus_client import Counter
    except ImportError:
        return {}
    words = {False: "no", True: "yes"}
    with _surviving():
        counter = Counter("macaroon_cbat_verified", "Requests let through.", ["bound", "attenuated"])
        return {
            (is_bound, is_attenuated): counter.labels(words[is_bound], words[is_attenuated])
            for is_bound in words
            for is_attenuated in words
        }
    return {}


@cache
def _refused() -> _Refusals | None:
    with _making.current():
        return _make_refused()


@cache
def _make_refused() -> _Refusals | None:
    try:
        from prometheus_client import Counter
    except ImportError:
        return None
    with _surviving():
        return _Refusals(
            Counter("macaroon_cbat_refused", "Requests refused.", ["reason"]),
            Counter("macaroon_cbat_unavailable", "Requests that could not be judged.", ["reason"]),
            Counter("macaroon_cbat_certificates_ignored", "Certificate headers of untrusted senders."),
        )
    return None


def count_verified(principal: Principal) -> None:
    """Count an admitted request."""
    if counters := _verified():
        try:  # costs nothing, where a context manager would: this is the hot path
            counters[principal.certificate is not None, principal.is_attenuated].inc()
        except _UNWRITABLE as error:
            _complain(error)


def count_refused(error: OAuthError) -> None:
    """Count a refusal by the name of its class."""
    if (counters := _refused()) is not None:
        with _surviving():
            counters.refused.labels(type(error).__name__).inc()


def count_unavailable(error: Unavailable) -> None:
    """Count a request that could not be judged, by the name of the error's class."""
    if (counters := _refused()) is not None:
        with _surviving():
            counters.unavailable.labels(type(error).__name__).inc()


def count_ignored() -> None:
    """Count an ignored certificate header."""
    if (counters := _refused()) is not None:
        with _surviving():
            counters.ignored.inc()


@contextmanager
def _surviving() -> Iterator[None]:
    """Go on if prometheus_client cannot write: metrics must not refuse a request."""
    try:
        yield
    except _UNWRITABLE as error:
        _complain(error)


def _complain(error: Exception) -> None:
    log.error(
        "a metric is lost, for prometheus_client cannot write (%s): check PROMETHEUS_MULTIPROC_DIR", error
    )
