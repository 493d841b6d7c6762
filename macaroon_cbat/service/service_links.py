"""Service links: the variables that Kubernetes sets in every container for each Service of its namespace.

A Service `macaroon-cbat` sets `MACAROON_CBAT_PORT=tcp://10.0.0.1:8443` and more, a Service
`macaroon-cbat-management` sets `MACAROON_CBAT_MANAGEMENT_PORT`. They are not settings. A service link is
recognised by name and value together.
"""

import logging
import re
from collections.abc import Mapping

from macaroon_cbat.certificate.address import plain_address

log = logging.getLogger("macaroon_cbat.service")

_SERVICE = r"(?:[A-Z][A-Z0-9_]*_)?"
_HOST = re.compile(_SERVICE + r"SERVICE_HOST")
_NUMBER = re.compile(_SERVICE + r"SERVICE_PORT(?:_[A-Z0-9_]+)?")
_LINK = re.compile(_SERVICE + r"PORT")
_PORT_LINK = re.compile(
    _SERVICE + r"PORT_(?P<port>[0-9]{1,5})_(?P<kind>TCP|UDP|SCTP)(?:_(?P<part>PROTO|PORT|ADDR))?"
)
_ADDRESS = re.compile(r"(?P<kind>tcp|udp|sctp)://(?P<host>[^/]+):(?P<port>[0-9]{1,5})")


def without_service_links(given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without service links, which one warning names; names have no MACAROON_CBAT_."""
    links = sorted(name for name, value in given.items() if _is_link(name, value))
    if links:
        log.warning(
            "not read as settings: MACAROON_CBAT_%s%s, which Kubernetes sets for a Service of this name: "
            "enableServiceLinks: false in the pod's spec leaves them out",
            links[0],
            f" and {len(links) - 1} more" if links[1:] else "",
        )
    return {name: value for name, value in given.items() if name not in links}


def _is_link(name: str, value: str) -> bool:
    # One name can have two meanings: PORT_53_UDP_PORT is of a Service `macaroon-cbat-port-53-udp` as well.
    found = _PORT_LINK.fullmatch(name)
    return (
        (_HOST.fullmatch(name) is not None and plain_address(value) is not None)
        or (_NUMBER.fullmatch(name) is not None and _is_port(value))
        or (_LINK.fullmatch(name) is not None and _is_url(value))
        or (found is not None and _is_part(found, value))
    )


def _is_part(name: re.Match[str], value: str) -> bool:
    port, kind, part = name["port"], name["kind"].lower(), name["part"]
    if part == "PROTO":
        return value == kind
    if part == "PORT":
        return value == port
    if part == "ADDR":
        return plain_address(value) is not None
    return value.startswith(f"{kind}://") and value.endswith(f":{port}") and _is_url(value)


def _is_url(value: str) -> bool:
    found = _ADDRESS.fullmatch(value)
    if found is None or not _is_port(found["port"]):
        return False
    host = found["host"]
    return plain_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host) is not None


def _is_port(value: str) -> bool:
    return value.isdecimal() and value.isascii() and len(value) <= 5 and 0 < int(value) < 1 << 16
