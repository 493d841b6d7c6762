"""Metrics of a resource server, in the registry of prometheus_client that the application's own are in."""

from itertools import product

from macaroon_cbat.errors import OAuthError, Unavailable
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.server.metrics import Counter, CounterGroup

_ALL = CounterGroup()
_VERIFIED = Counter(
    "macaroon_cbat_verified",
    "Requests let through.",
    ["bound", "attenuated"],
    group=_ALL,
    shown=product((False, True), repeat=2),
)
_REFUSED = Counter("macaroon_cbat_refused", "Requests refused.", ["reason"], group=_ALL)
_UNAVAILABLE = Counter(
    "macaroon_cbat_unavailable", "Requests that could not be judged.", ["reason"], group=_ALL
)
_IGNORED = Counter(
    "macaroon_cbat_certificates_ignored", "Certificate headers of untrusted senders.", group=_ALL
)


def count_verified(principal: Principal) -> None:
    """Count a request that was let through."""
    is_bound = principal.certificate is not None or principal.proof_key is not None
    _VERIFIED.count(is_bound, principal.is_attenuated)


def count_refused(error: OAuthError) -> None:
    """Count a refusal by the name of its class."""
    _REFUSED.count(type(error).__name__)


def count_unavailable(error: Unavailable) -> None:
    """Count a request that could not be judged, by the name of the error's class."""
    _UNAVAILABLE.count(type(error).__name__)


def count_ignored() -> None:
    """Count a certificate header that was not believed."""
    _IGNORED.count()
