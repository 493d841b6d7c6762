"""What one client may use up: seconds, connections and bytes."""

import resource
from dataclasses import dataclass

_RESERVED_DESCRIPTORS = 128
"""For the database, log files, spooled bodies and the server itself."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that hold for each worker; a request that trickles in does not extend its deadline."""

    handshake_seconds: float = 5.0
    request_seconds: float = 10.0
    idle_seconds: float = 15.0
    connections: int = 4096
    body_bytes: int = 1 << 20
    header_bytes: int = 1 << 16
    unread_bytes: int = 1 << 29
    """What all slow readers together may leave waiting."""


def descriptor_bound() -> int:
    """Raise the soft limit of open files to the hard one; return how many connections fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):
            # Some systems name an unlimited hard limit and refuse it as a soft one.
            pass
    if soft == resource.RLIM_INFINITY:
        return 1 << 30
    return max(soft - _RESERVED_DESCRIPTORS, soft // 2)
