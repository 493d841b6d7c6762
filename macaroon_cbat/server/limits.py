"""Limits of one client: seconds, connections and bytes."""

import resource
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from macaroon_cbat.errors import SettingsError

_RESERVED_DESCRIPTORS = 128
"""Descriptors for the database, log files and the server itself."""


USUAL_CONNECTIONS = 4096


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of each worker. Raises SettingsError for a limit that no request could keep."""

    handshake_seconds: float = 5.0
    """The time for a client to complete the TLS handshake."""
    request_seconds: float = 10.0
    """The time for a client to send its whole request, and to go on reading an answer."""
    idle_seconds: float = 15.0
    """The time for a client to use its connection again: longer than a proxy keeps it, or the proxy gets
    errors."""
    connections: int = USUAL_CONNECTIONS
    """Open connections; beyond them the slowest client is dropped, or the new one waits."""
    body_bytes: int = 1 << 20
    """Bytes of one request's body."""
    header_bytes: int = 1 << 16
    """Bytes of one request's header."""
    pending_bytes: int = 1 << 26
    """Bytes of all requests that wait for a thread, headers and bodies."""
    unread_bytes: int = 1 << 27
    """Bytes of all answers that slow clients have not read yet."""

    def __post_init__(self) -> None:
        """Raise SettingsError for a limit that would show only as answers that never come."""
        for name, value in asdict(self).items():
            if not 0 < value < float("inf"):
                raise SettingsError(f"the limit {name} is {value}: give a number above 0")


def limits_that_fit(limits: Limits) -> Limits:
    """Raise the soft limit of open files to the hard one; return limits with no more connections than fit.

    Raises SettingsError if more than USUAL_CONNECTIONS are asked for and do not fit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name an unlimited hard limit and refuse it as a soft one.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return limits
    room = max(soft - _RESERVED_DESCRIPTORS, soft // 2)
    if limits.connections > max(room, USUAL_CONNECTIONS):
        raise SettingsError(
            f"the limit of open files is {soft}, and {limits.connections} connections need "
            f"{limits.connections + _RESERVED_DESCRIPTORS}: raise it with LimitNOFILE= or ulimit -n, "
            "or set fewer connections"
        )
    return replace(limits, connections=min(limits.connections, room))
