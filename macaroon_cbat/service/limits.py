"""Limits that a deployer may set on what one client uses up: time, and bytes of a body."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.server.limits import Limits

LIMIT_VARIABLES = {
    "HANDSHAKE_SECONDS": "seconds that serve gives a client for the TLS handshake (default: 5)",
    "REQUEST_SECONDS": "seconds that serve gives a client to send a request, body included (default: 10)",
    "IDLE_SECONDS": "seconds that serve keeps a connection without a request (default: 15)",
    "BODY_BYTES": "bytes that the body of a request may have (default: 65536)",
}
RANGES = {
    "HANDSHAKE_SECONDS": (1, 3600),
    "REQUEST_SECONDS": (1, 3600),
    "IDLE_SECONDS": (1, 3600),
    "BODY_BYTES": (1 << 14, 1 << 24),
}
_NUMBER = re.compile(r"[0-9]{1,9}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """The limits of the service. All but `body_bytes` hold on the embedded server alone."""

    handshake_seconds: int = 5
    request_seconds: int = 10
    idle_seconds: int = 15
    body_bytes: int = 1 << 16

    def __post_init__(self) -> None:
        """Refuse what lets no request pass, or lets one client take everything."""
        for field in fields(self):
            value, (least, most) = getattr(self, field.name), RANGES[field.name.upper()]
            if not least <= value <= most:
                raise _unusable(field.name.upper(), str(value))

    def of_server(self) -> Limits:
        """Return the limits of the embedded server, which leaves it to the service to refuse a body first."""
        usual = Limits()
        return Limits(
            handshake_seconds=self.handshake_seconds,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
            body_bytes=max(usual.body_bytes, self.body_bytes),
        )


USUAL = ServiceLimits()


def service_limits(given: Mapping[str, str]) -> ServiceLimits:
    """Return the limits that the settings (without MACAROON_CBAT_) say, or raise SettingsError."""
    texts = {name: given[name] for name in LIMIT_VARIABLES if name in given}
    for name, text in texts.items():
        if not _NUMBER.match(text):
            raise _unusable(name, text)
    return ServiceLimits(**{name.lower(): int(text) for name, text in texts.items()})


def _unusable(name: str, text: str) -> SettingsError:
    least, most = RANGES[name]
    return SettingsError(f"MACAROON_CBAT_{name} must be a number from {least} to {most}, not {text[:20]!r}")
