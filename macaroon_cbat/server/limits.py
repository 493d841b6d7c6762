"""What one client may use up: seconds, connections and bytes."""

import resource
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from macaroon_cbat.errors import SettingsError

_RESERVED_DESCRIPTORS = 128
"""For the database, log files and the server itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for each worker. Raises SettingsError for one that lets nothing pass."""

    handshake_seconds: float = 5.0
    request_seconds: float = 10.0
    """For a client to send its request, which trickling in does not extend, and to read on in an answer."""
    idle_seconds: float = 15.0
    """For a client to use its connection again: more than a proxy in front keeps it, or that gets errors."""
    connections: int = 4096
    body_bytes: int = 1 << 20
    header_bytes: int = 1 << 16
    pending_bytes: int = 1 << 26
    """What all requests together may hold in memory until a thread takes them: headers and bodies."""
    unread_bytes: int = 1 << 27
    """What all slow readers together may leave waiting."""

    def __post_init__(self) -> None:
        """Refuse what could only be noticed as answers that do not come."""
        for name, value in asdict(self).items():
            if not 0 < value < float("inf"):
                raise SettingsError(f"the limit {name} is {value}: give a number above 0")


def limits_that_fit(limits: Limits) -> Limits:
    """Raise the soft limit of open files to the hard one; return limits with as many connections as fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name an unlimited hard limit and refuse it as a soft one.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY:
        return limits
    room = max(soft - _RESERVED_DESCRIPTORS, soft // 2)
    return replace(limits, connections=min(limits.connections, room))
