"""The gauge of the server certificate's expiry, of the process that answers a scrape."""

from macaroon_cbat.server.metrics import Gauge


class CertificateExpiry:
    """The expiry of the server certificate in force, which changes when the certificate is renewed."""

    def __init__(self) -> None:
        """Begin without a certificate."""
        self._seconds: int | None = None
        self.gauge = Gauge(
            "macaroon_cbat_server_certificate_expiry_timestamp_seconds",
            "When the server certificate that new connections get expires, in seconds since the epoch.",
            self.seconds,
        )
        """The collector; it shows nothing before there is a certificate."""

    def seconds(self) -> int | None:
        """Return the expiry in seconds since the epoch; None before there is a certificate."""
        return self._seconds

    def show(self, seconds: int) -> None:
        """Show these seconds since the epoch from now on."""
        self._seconds = seconds
