"""What the service counts, where prometheus_client is installed; elsewhere it counts nothing.

Every label value is one of the service's own names, so no stranger can make a new time series.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from prometheus_client import Counter


log = logging.getLogger("macaroon_cbat.metrics")

_NOT_COUNTED = "not counted, prometheus_client cannot write: %s: look at PROMETHEUS_MULTIPROC_DIR"


class _Counters(Struct, frozen=True):
    minted: "dict[bool, Counter]"
    introspected: "dict[bool, Counter]"
    revoked: "Counter"
    refused: "Counter"
    ignored: "Counter"


@cache
def _counters() -> _Counters | None:
    """Return the counters of this process, or None without prometheus_client or a place for its files."""
    with _surviving():
        return _make_counters()
    return None


def _make_counters() -> _Counters | None:
    """Make the counters of this process.

    prometheus_client decides when it is imported whether processes share their counters, and `serve`
    says so only after this file is imported: hence the import in here.
    """
    try:
        from prometheus_client import Counter
    except ImportError:
        return None
    minted = Counter("macaroon_cbat_tokens_minted", "Tokens minted.", ["bound"])
    introspected = Counter("macaroon_cbat_tokens_introspected", "Tokens introspected.", ["active"])
    return _Counters(
        {is_bound: minted.labels(_yes_or_no(is_bound)) for is_bound in (False, True)},
        {is_active: introspected.labels(_yes_or_no(is_active)) for is_active in (False, True)},
        Counter("macaroon_cbat_tokens_revoked", "Tokens revoked over HTTP."),
        Counter("macaroon_cbat_requests_refused", "Requests answered with an error.", ["endpoint", "error"]),
        Counter("macaroon_cbat_certificate_headers_ignored", "Certificate headers of who is not trusted."),
    )


def start_counting() -> None:
    """Show every counter from the start, at zero."""
    _counters()


def count_minted(*, is_bound: bool) -> None:
    """Count a token."""
    if (counters := _counters()) is not None:
        with _surviving():
            counters.minted[is_bound].inc()


def count_introspected(*, is_active: bool) -> None:
    """Count an answer about a token."""
    if (counters := _counters()) is not None:
        with _surviving():
            counters.introspected[is_active].inc()


def count_revoked() -> None:
    """Count a token that was taken back."""
    if (counters := _counters()) is not None:
        with _surviving():
            counters.revoked.inc()


def count_refused(endpoint: str | None, error: str | None) -> None:
    """Count an error answer; `endpoint` is the name of a view, `error` a code of ours."""
    if (counters := _counters()) is not None:
        with _surviving():
            counters.refused.labels(endpoint or "none", error or "none").inc()


def count_ignored() -> None:
    """Count a certificate header that was not believed."""
    if (counters := _counters()) is not None:
        with _surviving():
            counters.ignored.inc()


def _yes_or_no(value: bool) -> str:  # noqa: FBT001 # what it says
    return "yes" if value else "no"


@contextmanager
def _surviving() -> Iterator[None]:
    """Go on where prometheus_client cannot write: metrics do not decide what the service answers.

    After a fork its file may be one that cannot be opened (OSError), and then one that is closed.
    """
    try:
        yield
    except (
        OSError,
        ValueError,
    ) as error:
        log.error(_NOT_COUNTED, error)  # noqa: TRY400  # no defect of ours
