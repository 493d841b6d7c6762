"""The attempts that are counted before a view runs: those of people and of clients that register."""

from collections.abc import Callable
from contextlib import suppress

from flask import Flask, request

from macaroon_cbat.certificate.source import NO_CERTIFICATE
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.service.audit import write_or_log_locked
from macaroon_cbat.service.http.client_certificate import client_certificate
from macaroon_cbat.service.http.presented_macaroons import has_macaroon
from macaroon_cbat.service.throttle.places import limited_address
from macaroon_cbat.service.throttle.redis_counters import RedisCounters
from macaroon_cbat.service.throttle.settings import ThrottleSettings
from macaroon_cbat.service.throttle.throttle import Throttle

THROTTLE = "macaroon_cbat.throttle"
"""The name of the extension."""

LOGINS = frozenset(
    {
        *("authorize", "callback", "consent", "decision", "device", "device decision"),
        *("approval", "approval decision", "logout", "logged_out"),
    }
)
REGISTRATIONS = frozenset({"register"})
"""The names of views whose requests need no authenticated client."""


def throttle_of(settings: ThrottleSettings) -> Throttle:
    """Return the limits, counted where the settings say. Raises SettingsError."""
    url = settings.storage()
    counters = None if url is None else RedisCounters(url)
    return Throttle(settings, counters, locked=write_or_log_locked)


def limit_attempts(app: Flask, throttle: Throttle) -> None:
    """Count the requests to these views before they run; the limits are an extension of the application."""
    app.extensions[THROTTLE] = throttle
    limits: dict[str, Callable[[str | None], None]] = {
        **dict.fromkeys(LOGINS, throttle.login),
        **dict.fromkeys(REGISTRATIONS, throttle.registration),
    }

    @app.before_request
    def count_attempt() -> None:
        limit = limits.get(request.endpoint or "")
        if limit is not None and not _is_invited():
            limit(address_to_limit())


def _is_invited() -> bool:
    """Return True for a registration with a macaroon, which has a bound of its own; no other header does."""
    return request.endpoint in REGISTRATIONS and has_macaroon(request)


def address_to_limit() -> str | None:
    """Return the address of the request at hand as limits count it; None if it is unknown or shared."""
    presented = NO_CERTIFICATE
    with suppress(MacaroonError):  # the view says so itself
        presented = client_certificate(request)
    return limited_address(WsgiConnection(request.environ), presented, request.environ.get("REMOTE_ADDR"))
