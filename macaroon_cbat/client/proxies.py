"""Tunnels through the HTTP proxy that the environment names (HTTPS_PROXY, NO_PROXY): RFC 9110 9.3.6.

TLS is spoken with the server behind the proxy, so that the proxy sees no credentials. A proxy that is itself
reached over TLS, or by SOCKS, is not supported.
"""

import re
import socket
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from macaroon_cbat.client.sockets import Deadline, connected

_LONGEST_HEAD = 16 * 1024
_OPENED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9][ \r]")


class ProxyError(OSError):
    """The proxy cannot be reached, or opens no tunnel."""


def connected_through_proxy(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Return a TCP connection to host and port, through the proxy of the environment if that names one."""
    proxy = _proxy_for(host, port)
    if proxy is None:
        return connected(host, port, deadline)
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if parts.scheme != "http" or parts.hostname is None:
            raise ProxyError("it is no http:// URL")
        raw = connected(parts.hostname, parts.port or 80, deadline)
    except (OSError, ValueError) as error:
        raise ProxyError(str(error)) from error
    try:
        _open_tunnel(raw, f"[{host}]:{port}" if ":" in host else f"{host}:{port}", parts.netloc, deadline)
    except BaseException as error:
        raw.close()
        if isinstance(error, OSError):
            raise ProxyError(str(error)) from error
        raise
    return raw


def _proxy_for(host: str, port: int) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    return None if not proxy or proxy_bypass(f"{host}:{port}") else proxy


def _open_tunnel(raw: socket.socket, place: str, netloc: str, deadline: Deadline) -> None:
    user = netloc.rpartition("@")[0]
    credentials = b64encode(unquote(user).encode()).decode()
    fields = f"Proxy-Authorization: Basic {credentials}\r\n" if user else ""
    raw.settimeout(deadline.left())
    raw.sendall(f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{fields}\r\n".encode("ascii"))
    head = b""
    # A byte at a time: what follows the head belongs to TLS.
    while not head.endswith(b"\r\n\r\n"):
        raw.settimeout(deadline.left())
        byte = raw.recv(1)
        if not byte or len(head) >= _LONGEST_HEAD:
            raise ProxyError("its answer has no end")
        head += byte
    if not _OPENED.match(head):
        status_line = head.partition(b"\r\n")[0][:100]
        raise ProxyError(f"it answered {status_line!r}")
