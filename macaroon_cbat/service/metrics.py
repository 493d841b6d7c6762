"""Metrics of the service."""

import logging
from collections.abc import Callable
from typing import Literal, Protocol

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.server.metrics import Counter, CounterGroup, Gauge, Histogram, PublishedGauge
from macaroon_cbat.stores import Stores
from macaroon_cbat.stores.pool import pool_counts

log = logging.getLogger("macaroon_cbat.metrics")

_EITHER = [(False,), (True,)]
_ALL = CounterGroup()
_MINTED = Counter("macaroon_cbat_tokens_minted", "Tokens minted.", ["bound"], group=_ALL, shown=_EITHER)
_INTROSPECTED = Counter(
    "macaroon_cbat_tokens_introspected", "Tokens introspected.", ["active"], group=_ALL, shown=_EITHER
)
_DISCHARGED = Counter(
    "macaroon_cbat_discharges_minted",
    "Discharges of third-party caveats.",
    ["condition"],
    group=_ALL,
    shown=[("is-member-of",), ("user-approves",)],
)
_REVOKED = Counter("macaroon_cbat_tokens_revoked", "Tokens revoked over HTTP.", group=_ALL)
_REPLAYED = Counter(
    "macaroon_cbat_refresh_tokens_replayed",
    "Refresh tokens that came again and ended their family.",
    group=_ALL,
)
_REFUSED = Counter(
    "macaroon_cbat_requests_refused", "Requests answered with an error.", ["endpoint", "error"], group=_ALL
)
_LOCKED = Counter(
    "macaroon_cbat_clients_locked", "Lock-outs of a client's secret at one address.", group=_ALL
)
_IGNORED = Counter(
    "macaroon_cbat_certificate_headers_ignored", "Certificate headers of untrusted senders.", group=_ALL
)
_SECONDS = Histogram(
    "macaroon_cbat_request_seconds",
    "Seconds until a response began.",
    ["endpoint", "status"],
    group=_ALL,
)
_CONNECTIONS = PublishedGauge(
    "macaroon_cbat_database_connections",
    "Connections to the database.",
    ["state"],
    group=_ALL,
)
_FOLLOWERS = PublishedGauge(
    "macaroon_cbat_feed_followers", "Requests that wait for a revocation, as a stream or not.", [], group=_ALL
)
_WAITED = Counter(
    "macaroon_cbat_feed_waits",
    "Waits for a revocation that ended: with one, in time (as streams do), or to be admitted anew.",
    ["end"],
    group=_ALL,
    shown=[("revocation",), ("time",), ("rights",)],
)


def start_counting() -> None:
    """Show every counter from the start, at zero."""
    _ALL.make()


def count_minted(*, is_bound: bool) -> None:
    """Count a token."""
    _MINTED.count(is_bound)


def count_discharged(condition: str) -> None:
    """Count a discharge of a caveat with this condition."""
    _DISCHARGED.count(condition)


def count_introspected(*, is_active: bool) -> None:
    """Count an answer about a token."""
    _INTROSPECTED.count(is_active)


def count_revoked() -> None:
    """Count a revoked token."""
    _REVOKED.count()


def count_replayed() -> None:
    """Count a refresh token that was used before."""
    _REPLAYED.count()


def count_refused(endpoint: str | None, error: str | None) -> None:
    """Count an error answer; `endpoint` is the name of a view, `error` a code of ours."""
    _REFUSED.count(endpoint or None, error or None)


def count_locked() -> None:
    """Count a pair of client and address that is locked."""
    _LOCKED.count()


def count_wait(end: Literal["revocation", "time", "rights"]) -> None:
    """Count a wait for a revocation that has ended so."""
    _WAITED.count(end)


def count_ignored() -> None:
    """Count a certificate header that was not believed."""
    _IGNORED.count()


def count_seconds(seconds: float, endpoint: str | None, status: str) -> None:
    """Count a request by the name of its view and the class of its status, such as 2xx."""
    _SECONDS.observe(seconds, endpoint or "none", status)


def publish_connections(stores: Stores) -> None:
    """Show how many connections this process has to the database."""
    counts = pool_counts(stores.database)
    _CONNECTIONS.publish(counts.in_use, "in use")
    _CONNECTIONS.publish(counts.idle, "idle")


def key_age(stores: Stores, clock: Callable[[], float]) -> Gauge:
    """Return the gauge of the current root key's age; it is not shown while the database is out of reach."""

    def age() -> float | None:
        try:
            [current] = [one for one in stores.root_keys.records() if one.state == "current"]
        except Unavailable as error:
            log.warning("the age of the current key is not known: %s", error)
            return None
        return max(0.0, clock() - current.since)

    return Gauge("macaroon_cbat_key_age_seconds", "Age of the current root key.", age)


def certificate_expiry(seconds: Callable[[], int | None]) -> Gauge:
    """Return the gauge of the server certificate's expiry; nothing is shown before there is a certificate."""
    return Gauge(
        "macaroon_cbat_server_certificate_expiry_timestamp_seconds",
        "When the server certificate that new connections get expires, in seconds since the epoch.",
        seconds,
    )


class _Feeds(Protocol):
    """The feeds of a process, whose followers are a sized collection with an age."""

    @property
    def followers(self) -> "_Followers":
        """The requests of this process that wait for a revocation."""


class _Followers(Protocol):
    def __len__(self) -> int: ...

    def age(self) -> float | None:
        """Return the seconds since the last look."""


def publish_followers(feeds: _Feeds) -> None:
    """Show how many requests of this process wait for a revocation."""
    _FOLLOWERS.publish(len(feeds.followers))


def look_age(feeds: _Feeds) -> Gauge:
    """Return the gauge of the age of the last look for revocations, in the process that shows it."""
    return Gauge(
        "macaroon_cbat_feed_look_age_seconds",
        "Age of this process's last look for revocations; not shown while no request waits for one.",
        feeds.followers.age,
    )
