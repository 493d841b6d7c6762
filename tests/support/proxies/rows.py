"""The rows of the table: each proxy, and the server that stands behind it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Row:
    """One row: a proxy, and the server behind it."""

    proxy: str
    format: str
    is_guarded: bool = False
    """Whether the server behind guards itself; otherwise the gateway judges."""
    protocol: str = "http"
    is_swapped: bool = False
    """Whether the gateway is asked over TCP and the server over a Unix socket, not the other way round."""
    is_shown: bool = False
    """Whether the server behind shows everything in the place of guarding itself."""
    is_asked: bool = False
    """Whether a server that shows what arrives, and lets everybody in, stands in the gateway's place."""
    websocket: str = ""
    """The path that WebSockets are allowed on."""

    @property
    def name(self) -> str:
        """The name of the row in the table."""
        if self.is_shown:
            return f"{self.proxy}, no gateway ({self.format}{', WebSockets' if self.websocket else ''})"
        if self.is_guarded:
            return f"{self.proxy}, guarded server ({self.format})"
        if self.is_asked:
            return f"{self.proxy}, asking"
        return f"{self.proxy} + gateway" + (
            (f" ({self.protocol})" if self.proxy == "envoy" else "")
            + (", WebSockets" if self.websocket else "")
        )

    @property
    def is_over_tcp(self) -> bool:
        """Whether the proxy reaches the gateway over TCP."""
        return self.is_swapped or self.proxy == "traefik" or self.protocol == "grpc"


ROWS = (
    Row("nginx", "nginx"),
    Row("envoy", "envoy"),
    Row("envoy", "envoy", protocol="grpc"),
    Row("haproxy", "haproxy-sha256"),
    Row("caddy", "caddy-sha256"),
    Row("traefik", "traefik"),
    Row("nginx", "nginx", is_guarded=True),
    Row("envoy", "envoy", is_guarded=True),
    Row("haproxy", "haproxy-sha256", is_guarded=True),
    Row("haproxy", "haproxy", is_guarded=True),
    Row("haproxy", "rfc9440", is_guarded=True),
    Row("apache", "apache", is_guarded=True),
    Row("caddy", "caddy-sha256", is_guarded=True),
    Row("caddy", "caddy", is_guarded=True),
    Row("caddy", "rfc9440", is_guarded=True),
    Row("traefik", "traefik", is_guarded=True),
)

WIRE_ROWS = (
    *(row for row in ROWS if not row.is_guarded),
    Row("nginx", "nginx", is_guarded=True, is_shown=True),
    Row("envoy", "envoy", is_guarded=True, is_shown=True),
    Row("haproxy", "rfc9440", is_guarded=True, is_shown=True),
    Row("apache", "apache", is_guarded=True, is_shown=True),
    Row("caddy", "rfc9440", is_guarded=True, is_shown=True),
    Row("traefik", "traefik", is_guarded=True, is_shown=True),
)
"""The rows whose server shows everything that arrives behind the proxy."""

WEBSOCKET_ROWS = tuple(replace(row, websocket="/socket") for row in WIRE_ROWS if row.protocol == "http")
ASKED_ROWS = tuple(
    replace(row, is_asked=True) for row in ROWS if not row.is_guarded and row.protocol == "http"
)
