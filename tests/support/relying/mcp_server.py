"""An MCP server of the official SDK behind the ASGI guard: `python -m tests.support.relying.mcp_server JSON`.

uvicorn serves it over a Unix socket, and nginx in front of it terminates TLS.
"""

import json
import sys
from pathlib import Path

import uvicorn
from mcp.server import MCPServer
from mcp.server.transport_security import TransportSecuritySettings

from macaroon_cbat import Forwarded, trusted_proxies
from macaroon_cbat.resource.asgi import Guard


def main() -> None:
    """Serve until SIGTERM; the settings name the key file and the socket."""
    settings = json.loads(sys.argv[1])
    server = MCPServer("weather")

    @server.tool()
    def forecast(place: str) -> str:
        """Tell the weather of a place."""
        return f"sunny in {place}"

    guard = Guard(
        keys=settings["keys"], certificate_source=Forwarded("nginx", trust=trusted_proxies(["unix"]))
    )
    # The guard admits no page of another origin: a browser has no token of ours that is bound to its key.
    unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    app = server.streamable_http_app(transport_security=unchecked)
    Path(settings["socket"]).unlink(missing_ok=True)
    uvicorn.run(guard.require("forecast")(app), uds=settings["socket"], http="h11", log_level="warning")


if __name__ == "__main__":
    main()
