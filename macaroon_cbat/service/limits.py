"""Limits that an operator may set on what one client uses: time, and bytes of a body."""

from dataclasses import dataclass
from typing import Annotated

from macaroon_cbat.server.limits import USUAL_CONNECTIONS, Limits
from macaroon_cbat.service.variables import Setting, refuse_out_of_range


def _seconds(meaning: str) -> Setting:
    return Setting(meaning=meaning, shape="a number of seconds from 1 to 3600", least=1, most=3600)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLimits:
    """The limits of the service. All but `body_bytes` hold on the embedded server alone.

    Raises SettingsError for a limit that lets no request pass, or lets one client take everything.
    """

    handshake_seconds: Annotated[int, _seconds("time of a client for the TLS handshake")] = 5
    request_seconds: Annotated[
        int, _seconds("time of a client to send a request, body included, and to read on")
    ] = 10
    idle_seconds: Annotated[
        int, _seconds("time of a connection without a request; more than a proxy's own")
    ] = 15
    body_bytes: Annotated[
        int,
        Setting(
            meaning="largest body of a request",
            shape="a number of bytes from 16384 to 16777216",
            least=1 << 14,
            most=1 << 24,
        ),
    ] = 1 << 16

    connections: Annotated[
        int,
        Setting(
            meaning="most connections of one process, followers that wait included",
            shape="a number of connections from 64 to 100000",
            least=64,
            most=100_000,
        ),
    ] = USUAL_CONNECTIONS

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        refuse_out_of_range(self)

    def of_server(self) -> Limits:
        """Return the limits of the embedded server, which leaves it to the service to refuse a body first."""
        usual = Limits()
        return Limits(
            handshake_seconds=self.handshake_seconds,
            request_seconds=self.request_seconds,
            idle_seconds=self.idle_seconds,
            connections=self.connections,
            body_bytes=max(usual.body_bytes, self.body_bytes),
        )


USUAL = ServiceLimits()
