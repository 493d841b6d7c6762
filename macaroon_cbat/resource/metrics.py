"""What a resource server counts, where prometheus_client is installed; elsewhere it counts nothing.

The counters are in prometheus_client's own registry, so the application shows them as it shows its own.
"""

from functools import cache
from typing import TYPE_CHECKING

from macaroon_cbat.errors import OAuthError, Unavailable
from macaroon_cbat.processes import ProcessLock
from macaroon_cbat.verification import Principal

if TYPE_CHECKING:
    from prometheus_client import Counter


_making = ProcessLock()
"""The first requests may come at once, and prometheus_client takes no name twice."""


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
    counter = Counter("macaroon_cbat_verified", "Requests let through.", ["bound", "attenuated"])
    words = {False: "no", True: "yes"}
    return {
        (is_bound, is_attenuated): counter.labels(words[is_bound], words[is_attenuated])
        for is_bound in words
        for is_attenuated in words
    }


@cache
def _refused() -> "tuple[Counter, Counter, Counter] | None":
    with _making.current():
        return _make_refused()


@cache
def _make_refused() -> "tuple[Counter, Counter, Counter] | None":
    try:
        from prometheus_client import Counter
    except ImportError:
        return None
    return (
        Counter("macaroon_cbat_refused", "Requests refused.", ["reason"]),
        Counter("macaroon_cbat_unavailable", "Requests that nobody could judge.", ["reason"]),
        Counter("macaroon_cbat_certificates_ignored", "Certificate headers from somebody not trusted."),
    )


def count_verified(principal: Principal) -> None:
    """Count a request that was let through."""
    if counters := _verified():
        counters[principal.certificate is not None, principal.is_attenuated].inc()


def count_refused(error: OAuthError) -> None:
    """Count a refusal by the name of its class."""
    if (counters := _refused()) is not None:
        counters[0].labels(type(error).__name__).inc()


def count_unavailable(error: Unavailable) -> None:
    """Count a request that nobody could judge, by the name of the error's class."""
    if (counters := _refused()) is not None:
        counters[1].labels(type(error).__name__).inc()


def count_ignored() -> None:
    """Count a certificate header that was not believed."""
    if (counters := _refused()) is not None:
        counters[2].inc()
