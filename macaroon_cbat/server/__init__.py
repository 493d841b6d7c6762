"""Parts that every listening process shares: addresses, listener, workers, signals, limits and metrics."""

from macaroon_cbat.server.certificate_expiry import CertificateExpiry as CertificateExpiry
from macaroon_cbat.server.metrics_page import metrics_listener as metrics_listener
from macaroon_cbat.server.metrics_page import serve_metrics as serve_metrics
from macaroon_cbat.server.shared_counters import ignoring_leftovers as ignoring_leftovers
from macaroon_cbat.server.shared_counters import sharing_counters as sharing_counters
from macaroon_cbat.server.shared_counters import take_counters as take_counters
