"""The official MCP SDK: its OAuth client registers, logs in and calls an MCP server behind our guard."""

import asyncio
import json
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthToken,
)

from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.proxies.processes import Ports, proxy_process, wait_for
from tests.support.proxies.processes import process as other_process
from tests.support.relying.oidc_provider import CLIENT, SECRET, WalkingBrowser, oidc_provider
from tests.support.service_process import Service
from tests.support.tls_servers import make_client

CALLBACK = "http://127.0.0.1:3030/callback"


class InMemory:
    """The storage of tokens that the SDK asks its user for."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens."""
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the tokens."""
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return the registration."""
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep the registration."""
        self.client = client_info


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Service, str]]:
    """Run the service, its upstream, and an MCP server behind nginx; return service and server URL."""
    folder = tmp_path_factory.mktemp("mcp")
    service, ports = Service(folder / "data", free_port()), Ports(free_port(), free_port())
    development_certificates(service.data)
    service.prepare()
    audience = f"https://localhost:{ports.tls}"
    with (
        oidc_provider(service.data, f"{service.issuer}/oauth2/callback") as provider,
        service.running(**settings(provider, service, audience)),
        mcp_server(folder, audience, ports, service),
    ):
        yield service, f"{audience}/mcp"


def settings(provider: str, service: Service, audience: str) -> dict[str, str]:
    """Return the settings of a service at which any client of this audience may register itself."""
    upstream = {"ISSUER": provider, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET, "CA": str(service.ca)}
    opened = {"OPEN_REGISTRATION": "forecast", "OPEN_REGISTRATION_AUDIENCES": audience}
    members = {f"UPSTREAM_{name}": value for name, value in upstream.items()} | opened
    return {f"MACAROON_CBAT_{name}": value for name, value in members.items()}


@contextmanager
def mcp_server(folder: Path, audience: str, ports: Ports, service: Service) -> Iterator[None]:
    """Run the MCP server on a Unix socket, and nginx before it."""
    socket, proxy = folder / "mcp.sock", folder / "nginx"
    proxy.mkdir()
    keys = service.export(folder / "keys.json", audience)
    arguments = {"keys": str(keys), "socket": str(socket)}
    command = [sys.executable, "-m", "tests.support.relying.mcp_server", json.dumps(arguments)]
    options = ["--upstream", f"unix:{socket}"]
    options += ["--cert", service.data / "server.pem", "--key", service.data / "server.key"]
    with other_process(command, folder) as running:
        wait_for(socket.exists, running, folder)
        with proxy_process("nginx", proxy, ports, options):
            yield


def test_the_sdk_registers_logs_in_and_calls(server, tmp_path):
    """The client finds the service by our documents alone, registers, logs in and calls a tool."""
    service, url = server
    storage = InMemory()
    answer = asyncio.run(forecast(service, url, make_client(tmp_path, "agent").file, storage))
    assert answer == "sunny in Oslo"
    assert storage.tokens is not None
    assert storage.tokens.refresh_token is not None
    assert storage.tokens.scope == "forecast"


async def forecast(service: Service, url: str, certificate: Path, storage: InMemory) -> str:
    """Call the tool as an agent whose user is Alice, over connections with this certificate."""
    browser, landed = WalkingBrowser(service.ca), []

    async def open_browser(authorization_url: str) -> None:
        landed.append(await asyncio.to_thread(browser.walk, authorization_url, CALLBACK, "alice"))

    async def wait_for_callback() -> AuthorizationCodeResult:
        return AuthorizationCodeResult(**landed[-1])

    metadata = OAuthClientMetadata(redirect_uris=[CALLBACK], client_name="Agent")
    provider = OAuthClientProvider(url, metadata, storage, open_browser, wait_for_callback)
    context = ssl.create_default_context(cafile=str(service.ca))
    context.load_cert_chain(certificate)
    async with (
        httpx2.AsyncClient(
            auth=provider, verify=context, follow_redirects=True, timeout=60, trust_env=False
        ) as http,
        streamable_http_client(url, http_client=http) as (reading, writing, *_),
        ClientSession(reading, writing) as session,
    ):
        await session.initialize()
        called = await session.call_tool("forecast", {"place": "Oslo"})
    browser.close()
    return called.content[0].text
