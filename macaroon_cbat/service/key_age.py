"""The age of the current root key, as a gauge: worked out when a page is asked for."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores import Stores

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

log = logging.getLogger("macaroon_cbat.metrics")


class KeyAge:
    """A collector that looks up the age of the current root key when somebody asks."""

    def __init__(self, stores: Stores, clock: Callable[[], float]) -> None:
        self._stores = stores
        self._clock = clock

    def collect(self) -> "Iterable[Metric]":
        """Return the age; nothing while the database is out of reach."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        try:
            [current] = [one for one in self._stores.root_keys.records() if one.state == "current"]
        except Unavailable as error:
            log.warning("the age of the current key is not known: %s", error)
            return
        age = max(0.0, self._clock() - current.since)
        yield GaugeMetricFamily("macaroon_cbat_key_age_seconds", "Age of the current root key.", value=age)
