"""The expiry of the server certificate, as a gauge of the process that answers."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


class CertificateExpiry:
    """A collector that shows when the server certificate in force expires."""

    def __init__(self) -> None:
        self._seconds: int | None = None

    def show(self, seconds: int) -> None:
        """Show these seconds since the epoch from now on."""
        self._seconds = seconds

    def collect(self) -> "Iterable[Metric]":
        """Return the gauge; nothing before there is a certificate."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        if self._seconds is not None:
            yield GaugeMetricFamily(
                "macaroon_cbat_server_certificate_expiry_timestamp_seconds",
                "When the server certificate that new connections get expires, in seconds since the epoch.",
                value=self._seconds,
            )
